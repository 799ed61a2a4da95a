/* trim.c: `fragscope trim`: has the sampler inside a program ask its allocator to give
 * back what it can, tells what came of it and whether that lasted; or only predicts it.
 */
#include "analysis/others.h"
#include "analysis/prediction.h"
#include "base/clock.h"
#include "base/privilege.h"
#include "base/text.h"
#include "base/units.h"
#include "help.h"
#include "ipc/ring.h"
#include "source/source.h"
#include "target/usage.h"
#include "verb.h"
#include "verbs.h"
#include "view/json_text.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_WATCH_NS INT64_C(60000000000)
#define PATIENCE_NS	 INT64_C(60000000000)

/* The command line. */
struct request {
	struct pid_list pids;
	bool dry_run, json;
	int64_t watch_ns;
};

/* clang-format off */
#define FIELD(name) offsetof(struct request, name)

static const struct option_spec options[] = {
	ROW_PID("Trim"),
	{.name = "dry-run", .kind = OPTION_FLAG, .offset = FIELD(dry_run),
	 .help = "Predict from outside; touch nothing."},
	{.name = "watch", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(watch_ns),
	 .help = "Count the page faults of TIME after the trim (1m unless given; 0: none)."},
	ROW_JSON("Write JSON: one object, unscaled."),
	{.name = "", .letter = 'n', .kind = OPTION_GONE,
	 .help = "-n is no longer short for --dry-run: write --dry-run"},
	ROW_HELP,
};

static int run(const struct command *command, int argc, char **argv);

const struct command command_trim = {
	.name = "trim",
	.synopsis = "-p PID [OPTION...]",
	.summary = "free memory given back, and whether that was worth it",
	.description =
		"Has the sampler in process PID, which 'fragscope run' put there, call "
		"malloc_trim(0), or what another allocator has in its place, and tells what "
		"the process gave back, how long that took, and how many page faults came "
		"after it. With --dry-run it only tells what can be expected.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 1,
	.takes_pid = true,
	.run = run,
};

/* What can be told; a result whose bit is not set could not be had. */
enum result {
	RSS_BEFORE,
	PREDICTED,
	PREDICTED_FAULTS,
	LASTS,
	WALK,
	RSS_AFTER,
	GIVEN_BACK,
	TRIM,
	WATCHED,
	FAULTS,
	RESULTS,
};

enum unit { BYTES, COUNT, TIME };

static const struct {
	const char *name; /* of the JSON key */
	const char *label;
	enum unit unit;
	const char *remark;
} result_info[RESULTS] = {
	[RSS_BEFORE] = {"rss_before_bytes", "rss", BYTES, "now"},
	[PREDICTED] = {"predicted_bytes", "predicted", BYTES, "would be given back"},
	[PREDICTED_FAULTS] = {"predicted_faults", "faults", COUNT, "to take them back, at most"},
	[LASTS] = {"lasts_ns", "lasts", TIME,
		   "at least; then huge pages may have filled it again"},
	[WALK] = {"walk_ns", "walk", TIME,
		  "of the bins, by the sampler at its last sample; a trim is longer"},
	[RSS_AFTER] = {"rss_after_bytes", "rss", BYTES, "after the trim"},
	[GIVEN_BACK] = {"given_back_bytes", "given back", BYTES, ""},
	[TRIM] = {"trim_ns", "took", TIME, "under the allocator's locks"},
	[WATCHED] = {"watched_ns", "watched", TIME, "since"},
	[FAULTS] = {"faults", "faults", COUNT, "in that time, whatever their cause"},
};
/* clang-format on */

/* One trim, or the prediction of one. */
struct session {
	const struct frontend *frontend;
	const struct request *request;
	struct process process;
	struct ring ring;
	bool open, attached;
	bool counts; /* faults, from BEGIN_NS on */
	int64_t begin_ns;
	uint64_t faults_before;
	uint64_t have;
	uint64_t value[RESULTS];
};

static void set(struct session *session, enum result result, uint64_t value)
{
	session->value[result] = value;
	session->have |= UINT64_C(1) << result;
}

static bool has(const struct session *session, enum result result)
{
	return session->have >> result & 1;
}

/* ---- the command line ---- */

/* The process may be given without -p, too. */
static int read_operand(const struct command *command, const struct parsed *parsed,
			struct pid_list *pids, struct fault *fault)
{
	uint64_t pid;

	if (!parsed->operand_count)
		return 0;
	if (units_parse_count(parsed->operand[0], &pid) || !pid || pid > INT_MAX)
		return usage_fault(fault, command, "'%s' is not a PID",
				   parsed->operand[0]);
	if (pid_list_add(pids, (int)pid))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct request){.watch_ns = DEFAULT_WATCH_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	error = read_operand(command, parsed, &request->pids, fault);
	if (error)
		return error;
	if (!request->pids.count)
		return usage_fault(fault, command, "no process given: use -p PID");
	if (request->pids.count > 1)
		return usage_fault(fault, command, "%zu processes: trim acts on one",
				   request->pids.count);
	if (request->dry_run && options_given(command, parsed, "watch"))
		return usage_fault(fault, command,
				   "--watch and --dry-run exclude each other");
	return 0;
}

/* ---- what is read ---- */

/* A reading of KIND's into *SAMPLE, which is null when there is none. */
static int read_once(const struct session *session, enum sample_source kind,
		     struct sample **sample, struct fault *fault)
{
	const struct source_options wanted = {
		.source = kind, .threads = 1, .hurry = session->frontend->stop};
	struct source *source;
	int result = source_open(&source, session->request->pids.pid[0], &wanted, fault);

	*sample = NULL;
	if (result)
		return result;
	*sample = source_sample(source);
	result = *sample ? source_read(source, *sample, fault)
			 : fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	source_close(source);
	if (result == SOURCE_READ)
		return 0;
	sample_free(*sample);
	*sample = NULL;
	return result < 0 ? result : result == SOURCE_UNREADABLE ? -ETIMEDOUT : -ESRCH;
}

static void predict(struct session *session, const struct sample *sample)
{
	struct prediction prediction;

	if (!predict_trim(sample, &prediction)) {
		if (sample->missing[0])
			frontend_message(
				session->frontend,
				"process %d (%s): what a trim would give back is not "
				"known: %s",
				sample->pid, sample->comm, sample->missing);
		return;
	}
	set(session, PREDICTED, prediction.bytes);
	set(session, PREDICTED_FAULTS, prediction.faults);
}

/* Where the kernel makes huge pages of a heap with holes in it, they are filled again. */
static void predict_lasting(struct session *session)
{
	struct verdict_huge huge;
	struct huge settings;
	struct smaps smaps;

	if (!has(session, PREDICTED) || huge_read(&settings) ||
	    smaps_read(session->process.pid, &smaps))
		return;
	others_huge(&smaps, &settings, &huge);
	if (huge.fills && huge.fill_per_s > 0)
		set(session, LASTS,
		    (uint64_t)((double)session->value[PREDICTED] / huge.fill_per_s *
			       1e9));
}

/* From outside where the heap is one that can be read; 0, or -errno and FAULT. */
static int predict_from_heap(struct session *session, struct fault *fault)
{
	struct sample *sample;
	int error = read_once(session, SOURCE_HEAP, &sample, fault);

	if (error)
		return error;
	predict(session, sample);
	predict_lasting(session);
	sample_free(sample);
	return 0;
}

static int predict_from_sampler(struct session *session, struct fault *fault)
{
	struct sample *sample;
	const struct figures *fig;
	int error = read_once(session, SOURCE_PRELOAD, &sample, fault);

	if (error)
		return error;
	fig = &sample->fig;
	if (figure_has(fig, FIG_SAMPLE_COST_NS))
		set(session, WALK, fig->v[FIG_SAMPLE_COST_NS].u);
	if (!has(session, PREDICTED))
		predict(session, sample);
	sample_free(sample);
	return 0;
}

/* One of both ways is enough for a prediction; a trim needs the sampler. */
static int predict_all(struct session *session, struct fault *fault)
{
	struct fault of_sampler;
	int from_heap = predict_from_heap(session, fault);
	int from_sampler = predict_from_sampler(session, &of_sampler);

	if (session->request->dry_run)
		return from_heap && !has(session, PREDICTED) ? from_heap : 0;
	if (from_sampler)
		*fault = of_sampler;
	return from_sampler;
}

static int read_rss(struct session *session, enum result result)
{
	struct usage usage;
	int error = usage_exact(&session->process, &usage);

	if (!error)
		set(session, result, usage.rss_bytes);
	return error;
}

/* Minor and major faults of the process so far; fields are counted from behind its name,
 * which may hold anything. */
static int read_faults(const struct session *session, uint64_t *faults)
{
	unsigned long long minor, major;
	char text[1024];
	const char *end;
	ssize_t length = process_text(session->process.pid, "stat", text, sizeof(text));

	if (length < 0)
		return (int)length;
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor,
			   &major) != 2)
		return -EPROTO;
	*faults = minor + major;
	return 0;
}

/* ---- the output ---- */

static void print_text(const struct session *session, unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char buffer[32];
		struct text text;

		if (!has(session, i))
			continue;
		text_init(&text, buffer, sizeof(buffer));
		if (result_info[i].unit == BYTES)
			units_bytes(&text, session->value[i]);
		else if (result_info[i].unit == TIME)
			units_ns(&text, session->value[i]);
		else
			text_u64(&text, session->value[i]);
		printf("%-10s %8s%s%s\n", result_info[i].label, buffer,
		       *result_info[i].remark ? "  " : "", result_info[i].remark);
	}
	fflush(stdout);
}

static void print_json(const struct session *session)
{
	char buffer[1024];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	text_string(&text, "{\"pid\":");
	text_u64(&text, (uint64_t)session->process.pid);
	json_member_string(&text, "comm", session->process.comm);
	for (unsigned i = 0; i < RESULTS; i++)
		if (has(session, i))
			json_member_u64(&text, result_info[i].name, session->value[i]);
	text_string(&text, "}");
	puts(buffer);
}

/* ---- the work ---- */

static int trim_fault(const struct session *session, int error, struct fault *fault)
{
	const struct process *process = &session->process;

	if (error == -ENOTSUP)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "the allocator of process %d (%s), %s, gives nothing "
				 "back when another thread asks",
				 process->pid, process->comm, session->ring.header.name);
	if (error == -ETIMEDOUT)
		return fault_set(fault, EXIT_FAILED, error,
				 "the sampler in process %d (%s) has not trimmed in a "
				 "minute",
				 process->pid, process->comm);
	if (error == -EPROTO)
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "what process %d (%s) calls " RING_MEMFD
				 " is not a sampler's memory, or is damaged",
				 process->pid, process->comm);
	return fault_set(fault, error == -EPERM ? EXIT_NOT_PERMITTED : EXIT_FAILED, error,
			 "cannot ask the sampler in process %d (%s): %s", process->pid,
			 process->comm, strerror(-error));
}

/* Before anything is told of the trim: what is done upon that counts. */
static void begin_watch(struct session *session)
{
	session->begin_ns = clock_monotonic_ns();
	session->counts = session->request->watch_ns &&
			  !read_faults(session, &session->faults_before);
}

/* The sampler answers at once where its memory can be mapped. */
static int trim_now(struct session *session, struct fault *fault)
{
	int64_t took_ns = 0;
	int error = ring_attach(&session->ring, &session->process);

	session->attached = true;
	if (!error)
		error = ring_trim(&session->ring, PATIENCE_NS, &took_ns);
	if (!error)
		error = read_rss(session, RSS_AFTER);
	if (error)
		return trim_fault(session, error, fault);
	set(session, TRIM, (uint64_t)took_ns);
	/* A program at work may have grown by more than it gave back. */
	if (session->value[RSS_AFTER] <= session->value[RSS_BEFORE])
		set(session, GIVEN_BACK,
		    session->value[RSS_BEFORE] - session->value[RSS_AFTER]);
	begin_watch(session);
	return 0;
}

/* A process that ends meanwhile has no faults to tell. */
static void watch(struct session *session)
{
	uint64_t after;

	if (!session->counts)
		return;
	clock_wait_until(session->begin_ns + session->request->watch_ns,
			 &session->frontend->waiting);
	if (process_state(&session->process) != PROCESS_RUNS ||
	    read_faults(session, &after))
		return;
	set(session, WATCHED, (uint64_t)(clock_monotonic_ns() - session->begin_ns));
	set(session, FAULTS, after - session->faults_before);
}

static int work(struct session *session, struct fault *fault)
{
	const struct request *request = session->request;
	int error;

	/* No file is opened from here on but what belongs to the process. */
	privilege_raise();
	error = process_open(&session->process, request->pids.pid[0], fault);

	if (error)
		return error;
	session->open = true;
	session->frontend = verb_frontend();
	error = predict_all(session, fault);
	if (!error && read_rss(session, RSS_BEFORE))
		error = fault_set(fault, EXIT_FAILED, -ESRCH, "process %d is gone",
				  request->pids.pid[0]);
	if (error)
		return error;
	if (!request->json)
		print_text(session, 0, RSS_AFTER);
	if (!request->dry_run) {
		error = trim_now(session, fault);
		if (!error && !request->json)
			print_text(session, RSS_AFTER, WATCHED);
		if (!error)
			watch(session);
		if (!error && !request->json)
			print_text(session, WATCHED, RESULTS);
	}
	if (!error && request->json)
		print_json(session);
	return error;
}

static int check_output(struct fault *fault)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	return fault_set(fault, EXIT_FAILED, -errno, "cannot write: %s", strerror(errno));
}

static int run(const struct command *command, int argc, char **argv)
{
	struct request request;
	struct session session = {.request = &request, .ring.fd = -1};
	struct parsed parsed;
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = work(&session, &fault);
	if (!error)
		error = check_output(&fault);
	if (session.attached)
		ring_detach(&session.ring);
	if (session.open)
		process_close(&session.process);
	free(request.pids.pid);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
