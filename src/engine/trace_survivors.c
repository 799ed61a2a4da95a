#include "engine/trace_survivors.h"

#include "analysis/survival.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/output.h"
#include "base/privilege.h"
#include "base/units.h"
#include "glibc/pieces.h"
#include "probe/survivors.h"
#include "source/source.h"
#include "target/process.h"
#include "unwind/unwind.h"
#include "view/fold.h"
#include "view/json_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STACKS = 4096,
	FOLLOWED = 65536,
	ROWS = 40,   /* of the table for people */
	UNREAD = 10, /* looks in a row that may fail */
	WIDTH = 9,
	BUF_BYTES = 1 << 18, /* the longest stack as JSON */
};

/* Of the time of a program that calls malloc a million times a second. */
#define SHARE	 0.01
#define NS_PER_S 1e9

struct survivor_row {
	unsigned number; /* of the stack */
	double bytes_per_s;
};

struct survivors_session {
	const struct survivors_request *request;
	struct process process;
	struct source *source;
	struct unwinder *unwinder;
	struct survivors *survivors;
	struct survival *survival;
	struct fold *fold;
	struct survivor_row *row;
	unsigned rows;
	int fd;
	int64_t begin_ns, end_ns;
	uint64_t bursts, looks, calls, sent, lost, watched_ns;
	unsigned unread, seed;
	double dilation;
	struct event event;
	char *buf;
};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* ---- opening ---- */

static int open_target(struct survivors_session *session, struct fault *fault)
{
	const struct source_options reading = {
		.source = SOURCE_HEAP,
		.survey = true,
		.threads = 1,
		.hurry = frontend_stop_flag(session->request->frontend),
	};
	const struct survivors_options options = {
		.share = SHARE,
		.period_ns = session->request->period_ns,
		/* The page that the stack pointer is in is copied whole. */
		.stack_bytes = (uint32_t)session->request->stack_bytes + PROBE_PAGE,
		.followed = FOLLOWED,
	};
	int pid = session->request->pid;
	int error = process_open(&session->process, pid, fault);

	if (error)
		return error;
	/* First: where a file of the process does not open, nobody else may try to. */
	error = source_open(&session->source, pid, &reading, fault);
	if (!error)
		error = unwind_new(&session->unwinder, &session->process, fault);
	if (!error)
		error = survivors_open(&session->survivors, &session->process, &options,
				       fault);
	return error;
}

static int write_fault(const char *file, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write to %s: %s",
			 file ? file : "standard output", strerror(-error));
}

static int open_file(const char *file, int *fd, struct fault *fault)
{
	*fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return *fd < 0 ? write_fault(file, -errno, fault) : 0;
}

static int open_session(struct survivors_session *session, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int error = open_target(session, fault);

	privilege_restore(before);
	if (error)
		return error;
	if (fold_new(&session->fold, STACKS))
		return no_memory(fault);
	session->row = alloc_touched(fold_numbers(session->fold) * sizeof(*session->row));
	session->buf = alloc_touched(BUF_BYTES);
	if (!session->row || !session->buf ||
	    survival_new(&session->survival, fold_numbers(session->fold), FOLLOWED,
			 survivors_watches_free(session->survivors)))
		return no_memory(fault);
	return session->request->output
		       ? open_file(session->request->output, &session->fd, fault)
		       : 0;
}

/* A source that was given up may still be at it with what it was handed: then that stays
 * until the program ends. */
static void close_session(struct survivors_session *session)
{
	source_close(session->source);
	survivors_close(session->survivors);
	unwind_free(session->unwinder);
	process_close(&session->process);
	fold_free(session->fold);
	free(session->row);
	free(session->buf);
}

/* ---- bursts ---- */

/* A page between two others may never have been touched, or be in swap. */
static void on_chosen(const struct survivor_event *raw, const uint8_t *stack,
		      void *context)
{
	struct survivors_session *session = context;
	struct thread_state state = {.stack_addr = raw->stack_addr, .stack = stack};

	for (uint64_t pages = raw->stack_pages; pages; pages >>= 1)
		state.stack_bytes += PROBE_PAGE;
	state.missing_pages = ~raw->stack_pages;
	memcpy(state.reg, raw->reg, sizeof(state.reg));
	session->event.has = 0;
	if (state.stack_bytes)
		unwind_event(session->unwinder, &state, &session->event);
	if (!survival_add(session->survival, raw->chunk, raw->bytes,
			  fold_number(session->fold, &session->event)))
		survivors_forget(session->survivors, raw->chunk);
}

static void on_ended(uint64_t chunk, bool is_free, void *context)
{
	const struct survivors_session *session = context;

	if (is_free)
		survival_freed(session->survival, chunk);
	else
		survival_again(session->survival, chunk);
}

static int burst(struct survivors_session *session, struct fault *fault)
{
	const struct survivors_listener listener = {on_chosen, on_ended, session};
	unsigned room = survival_room(session->survival) / 2;
	struct survivors_watch watch;
	int error = survivors_burst(session->survivors,
				    room < SURVIVORS_SAMPLES ? room : SURVIVORS_SAMPLES,
				    &listener, &watch, fault);

	if (error)
		return error;
	session->bursts++;
	session->calls += watch.calls;
	session->sent += watch.sent;
	session->lost += watch.lost;
	session->watched_ns += watch.watched_ns;
	/* A burst that sampled none of the calls that it saw says nothing. */
	if (watch.sent || !watch.calls)
		survival_end_burst(session->survival, watch.start_ns, watch.watched_ns,
				   watch.sent ? (double)watch.calls / (double)watch.sent
					      : 0);
	return 0;
}

/* ---- looks ---- */

static int on_begin(void *context, const struct heap_segment *segment)
{
	const struct survivors_session *session = context;

	(void)segment;
	survival_begin_stretch(session->survival);
	return 0;
}

static int on_piece(void *context, const struct piece *piece, bool cached)
{
	const struct survivors_session *session = context;

	if (piece->kind != PIECE_DOUBT)
		survival_see(session->survival, piece->start, piece->end,
			     piece->kind == PIECE_USED && !cached);
	return 0;
}

static int on_end(void *context)
{
	(void)context;
	return 0;
}

static void on_forget(uint64_t chunk, void *context)
{
	const struct survivors_session *session = context;

	survivors_forget(session->survivors, chunk);
}

/* A heap that cannot be read this time is read the next time. */
static int look(struct survivors_session *session, struct fault *fault)
{
	const struct heap_piece_visitor visitor = {on_begin, on_piece, on_end, session};
	int64_t now_ns = clock_monotonic_ns();
	bool is_whole;
	int result;

	survival_begin_look(session->survival);
	result = source_pieces(session->source, &visitor, &is_whole, fault);
	if (result == SOURCE_READ) {
		survival_end_look(session->survival, now_ns, is_whole, on_forget,
				  session);
		session->looks++;
		session->unread = 0;
		return 0;
	}
	if (result == SOURCE_ENDED)
		return -ESRCH;
	if (result == SOURCE_UNREADABLE)
		return -ETIMEDOUT;
	return ++session->unread < UNREAD ? 0 : result;
}

/* ---- the run ---- */

/* When the next burst is due: at PERIOD_NS on average, from half of it up, but not before
 * the last is paid off. At random either way: whatever the program does at regular times,
 * bursts must not always meet it, or never. */
static int64_t next_due_ns(struct survivors_session *session, int64_t now_ns)
{
	int64_t period_ns = survivors_period_ns(session->survivors);
	int64_t least_ns = now_ns + period_ns / 2;
	int64_t paid_ns = survivors_due_ns(session->survivors);

	least_ns = paid_ns > least_ns ? paid_ns : least_ns;
	return least_ns +
	       (int64_t)((double)period_ns * rand_r(&session->seed) / RAND_MAX);
}

/* A burst, a pause until the next is due, but no longer than until END_NS, and a look
 * just before it. */
static int turn(struct survivors_session *session, int64_t end_ns, struct fault *fault)
{
	struct privilege before = privilege_raise();
	int64_t now_ns = clock_monotonic_ns(), due_ns;
	int error = burst(session, fault);

	privilege_restore(before);
	due_ns = next_due_ns(session, now_ns);
	due_ns = due_ns > end_ns ? end_ns : due_ns;
	while (!error && !frontend_stops(session->request->frontend) &&
	       clock_monotonic_ns() < due_ns)
		clock_wait_until(due_ns, &session->request->frontend->waiting);
	if (error)
		return error;
	before = privilege_raise();
	error = look(session, fault);
	session->dilation = survivors_dilation(session->survivors);
	privilege_restore(before);
	return error;
}

static int loop(struct survivors_session *session, struct fault *fault)
{
	int64_t for_ns = session->request->for_ns, end_ns = INT64_MAX;
	int error = 0;

	session->begin_ns = clock_monotonic_ns();
	if (for_ns)
		end_ns = session->begin_ns + for_ns;
	session->seed = (unsigned)clock_realtime_ns();
	while (!error && !frontend_stops(session->request->frontend) &&
	       clock_monotonic_ns() < end_ns)
		error = turn(session, end_ns, fault);
	session->end_ns = clock_monotonic_ns();
	/* Of a process that has ended, what was seen until then is printed. */
	if (error == -ESRCH && fault->status == EXIT_DONE) {
		frontend_message(session->request->frontend, "%s", fault->text);
		error = 0;
	}
	return error;
}

/* ---- what it says ---- */

static unsigned oldest(const struct survivors_session *session)
{
	unsigned age = SURVIVAL_AGES - 1;

	while (age && !survival_reached(session->survival, age))
		age--;
	return age;
}

static void rate_of(const struct survivors_session *session, unsigned number,
		    unsigned age, struct survival_rate *rate)
{
	survival_rate(session->survival, number, age, session->dilation, rate);
}

static int by_rate(const void *left, const void *right)
{
	const struct survivor_row *a = left, *b = right;

	if (a->bytes_per_s != b->bytes_per_s)
		return a->bytes_per_s < b->bytes_per_s ? 1 : -1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* The stacks of which something has reached AGE. */
static void make_rows(struct survivors_session *session, unsigned age)
{
	session->rows = 0;
	for (unsigned i = 0; i < fold_numbers(session->fold); i++) {
		struct survival_rate rate;

		rate_of(session, i, age, &rate);
		if (rate.samples)
			session->row[session->rows++] =
				(struct survivor_row){i, rate.bytes_per_s};
	}
	qsort(session->row, session->rows, sizeof(*session->row), by_rate);
}

static int put(int fd, const struct text *text)
{
	return text->overflow ? -EOVERFLOW : output_write(fd, text->buf, text->length);
}

static void cell(struct text *text, double bytes_per_s)
{
	size_t from = text->length;

	units_bytes(text, (uint64_t)(bytes_per_s + 0.5));
	text_align_right(text, from, WIDTH);
}

static void word(struct text *text, const char *string)
{
	size_t from = text->length;

	text_string(text, string);
	text_align_right(text, from, WIDTH);
}

static int put_row(struct survivors_session *session, const struct survivor_row *row,
		   unsigned last)
{
	struct survival_rate rate;
	struct text text;

	text_init(&text, session->buf, BUF_BYTES);
	for (unsigned age = 0; age < SURVIVAL_AGES; age++) {
		rate_of(session, row->number, age, &rate);
		if (survival_reached(session->survival, age))
			cell(&text, rate.bytes_per_s);
		else
			word(&text, "-");
	}
	rate_of(session, row->number, last, &rate);
	cell(&text, rate.low);
	cell(&text, rate.high);
	word(&text, units_count_text(rate.samples).s);
	text_char(&text, ' ');
	text_string(&text, fold_stack(session->fold, row->number));
	text_char(&text, '\n');
	return put(session->fd, &text);
}

static void describe(const struct survivors_session *session, unsigned last,
		     struct text *text)
{
	double seconds = (double)(session->end_ns - session->begin_ns) / NS_PER_S;

	text_string(text, "# process ");
	text_u64(text, (uint64_t)session->request->pid);
	text_string(text, " (");
	text_printable(text, session->process.comm, SIZE_MAX);
	text_string(text, "): ");
	text_u64(text, session->bursts);
	text_string(text, " bursts, ");
	text_string(text, units_ns_text(session->watched_ns).s);
	text_string(text, " of ");
	text_fixed(text, seconds, 1);
	text_string(text, "s; ");
	text_u64(text, session->calls);
	text_string(text, " allocations seen, ");
	text_u64(text, session->sent);
	text_string(text, " of them followed, ");
	text_u64(text, session->lost);
	text_string(text, " lost; ");
	text_u64(text, session->looks);
	text_string(text, " looks at the heap\n# bytes a second that a stack allocates, "
			  "and of those the bytes still in use after 1s, 10s, 1m, 5m; "
			  "low and high: 95%, of ");
	text_string(text, last ? "the greatest age" : "what was allocated");
	text_string(text, "\n");
	if (session->dilation < 1.01)
		return;
	text_string(text, "# while a burst lasts the process makes fewer calls: the "
			  "figures are scaled by ");
	text_fixed(text, session->dilation, 2);
	text_string(text, "\n");
}

static int put_table(struct survivors_session *session, unsigned last)
{
	static const char *const names[] = {"allocated", "1s",	"10s",	"1m",
					    "5m",	 "low", "high", "samples"};
	unsigned rows = session->rows < ROWS ? session->rows : ROWS;
	struct text text;
	int error;

	text_init(&text, session->buf, BUF_BYTES);
	if (!session->request->no_header)
		describe(session, last, &text);
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		word(&text, names[i]);
	text_string(&text, " stack\n");
	error = put(session->fd, &text);
	for (unsigned i = 0; !error && i < rows; i++)
		error = put_row(session, &session->row[i], last);
	return error;
}

static int put_folded(struct survivors_session *session, int fd)
{
	struct text text;
	int error = 0;

	for (unsigned i = 0; !error && i < session->rows; i++) {
		text_init(&text, session->buf, BUF_BYTES);
		text_string(&text, fold_stack(session->fold, session->row[i].number));
		text_char(&text, ' ');
		text_u64(&text, (uint64_t)(session->row[i].bytes_per_s + 0.5));
		text_char(&text, '\n');
		error = put(fd, &text);
	}
	return error;
}

static void json_age(const struct survivors_session *session, unsigned number,
		     unsigned age, struct text *text)
{
	struct survival_rate rate;

	rate_of(session, number, age, &rate);
	json_element(text);
	json_member_u64(text, "age_ns", (uint64_t)survival_age_ns[age]);
	json_member_u64(text, "bytes_per_s", (uint64_t)(rate.bytes_per_s + 0.5));
	json_member_u64(text, "low_bytes_per_s", (uint64_t)rate.low);
	json_member_u64(text, "high_bytes_per_s", (uint64_t)(rate.high + 0.5));
	json_member_u64(text, "samples", rate.samples);
	json_member_u64(text, "freed", rate.freed);
	json_member_u64(text, "handed_out_again", rate.again);
	text_char(text, '}');
}

static int json_row(struct survivors_session *session, unsigned i)
{
	struct text text;

	text_init(&text, session->buf, BUF_BYTES);
	text_string(&text, i ? ",\n{" : "\n{");
	json_member_string(&text, "stack",
			   fold_stack(session->fold, session->row[i].number));
	text_string(&text, ",\"ages\":[");
	for (unsigned age = 0; age < SURVIVAL_AGES; age++)
		if (survival_reached(session->survival, age))
			json_age(session, session->row[i].number, age, &text);
	text_string(&text, "]}");
	return put(session->fd, &text);
}

static int put_json(struct survivors_session *session)
{
	struct text text;
	int error;

	text_init(&text, session->buf, BUF_BYTES);
	text_char(&text, '{');
	json_member_string(&text, "kind", "survivors");
	json_member_u64(&text, "pid", (uint64_t)session->request->pid);
	json_member_string(&text, "comm", session->process.comm);
	json_member_u64(&text, "took_ns",
			(uint64_t)(session->end_ns - session->begin_ns));
	json_member_u64(&text, "bursts", session->bursts);
	json_member_u64(&text, "watched_ns", session->watched_ns);
	json_member_u64(&text, "looks", session->looks);
	json_member_u64(&text, "calls", session->calls);
	json_member_u64(&text, "followed", session->sent);
	json_member_u64(&text, "lost", session->lost);
	json_member_bool(&text, "free_watched",
			 survivors_watches_free(session->survivors));
	text_string(&text, ",\"dilation\":");
	text_fixed(&text, session->dilation, 3);
	text_string(&text, ",\"stacks\":[");
	error = put(session->fd, &text);
	for (unsigned i = 0; !error && i < session->rows; i++)
		error = json_row(session, i);
	return error ? error : output_write(session->fd, "]}\n", strlen("]}\n"));
}

static int print_result(struct survivors_session *session, struct fault *fault)
{
	const struct survivors_request *request = session->request;
	unsigned last = oldest(session);
	int error, fd;

	if (!last)
		frontend_message(session->request->frontend,
				 "process %d: no reading of the heap came a second or "
				 "more after a burst: what stays is not known",
				 request->pid);
	make_rows(session, last);
	error = request->json	? put_json(session)
		: request->fold ? put_folded(session, session->fd)
				: put_table(session, last);
	if (error)
		return write_fault(request->output, error, fault);
	if (!request->folded)
		return 0;
	error = open_file(request->folded, &fd, fault);
	if (error)
		return error;
	error = put_folded(session, fd);
	if (close(fd) && !error)
		error = -errno;
	return error ? write_fault(request->folded, error, fault) : 0;
}

int trace_survivors(const struct survivors_request *request, struct fault *fault)
{
	struct survivors_session *session = calloc(1, sizeof(*session));
	int error;

	if (!session)
		return no_memory(fault);
	session->request = request;
	session->fd = STDOUT_FILENO;
	session->dilation = 1;
	error = open_session(session, fault);
	if (!error) {
		frontend_message(session->request->frontend, "%s",
				 survivors_describe(session->survivors));
		error = loop(session, fault);
	}
	if (!error)
		error = print_result(session, fault);
	if (request->output && session->fd != STDOUT_FILENO && close(session->fd) &&
	    !error)
		error = write_fault(request->output, -errno, fault);
	close_session(session);
	if (error == -ETIMEDOUT)
		return error;
	survival_free(session->survival);
	free(session);
	return error;
}
