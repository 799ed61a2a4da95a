#include "view/survivors.h"

#include "base/alloc_touched.h"
#include "base/output.h"
#include "base/units.h"
#include "view/json_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROWS = 40, /* of the table for people */
	WIDE = 16, /* HIGH is so many times LOW: the figure is marked */
	WIDTH = 9,
	BUF_BYTES = 1 << 18, /* the longest stack as JSON */
};

#define NS_PER_S 1e9

struct survivor_row {
	unsigned number; /* of the stack */
	double bytes_per_s;
};

struct survivors_writer {
	const struct survivors_run *run; /* what is written now */
	struct survivor_row *row;
	unsigned rows;
	char *buf;
};

struct survivors_writer *survivors_writer_new(unsigned stacks)
{
	struct survivors_writer *new = alloc_touched(sizeof(*new));

	if (!new)
		return NULL;
	new->row = alloc_touched(stacks * sizeof(*new->row));
	new->buf = alloc_touched(BUF_BYTES);
	if (new->row &&new->buf)
		return new;
	survivors_writer_free(new);
	return NULL;
}

void survivors_writer_free(struct survivors_writer *writer)
{
	if (!writer)
		return;
	free(writer->row);
	free(writer->buf);
	free(writer);
}

/* ---- rows ---- */

unsigned survivors_oldest(const struct survivors_run *run)
{
	unsigned age = SURVIVAL_AGES - 1;

	while (age && !survival_reached(run->survival, age))
		age--;
	return age;
}

static void rate_of(const struct survivors_writer *writer, unsigned number, unsigned age,
		    struct survival_rate *rate)
{
	survival_rate(writer->run->survival, number, age, writer->run->dilation, rate);
}

static int by_rate(const void *left, const void *right)
{
	const struct survivor_row *a = left, *b = right;

	if (a->bytes_per_s != b->bytes_per_s)
		return a->bytes_per_s < b->bytes_per_s ? 1 : -1;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* The stacks of which something has reached AGE. */
static void make_rows(struct survivors_writer *writer, unsigned age)
{
	writer->rows = 0;
	for (unsigned i = 0; i < fold_numbers(writer->run->fold); i++) {
		struct survival_rate rate;

		rate_of(writer, i, age, &rate);
		if (rate.samples)
			writer->row[writer->rows++] =
				(struct survivor_row){i, rate.bytes_per_s};
	}
	qsort(writer->row, writer->rows, sizeof(*writer->row), by_rate);
}

static int put(int fd, const struct text *text)
{
	return text->overflow ? -EOVERFLOW : output_write(fd, text->buf, text->length);
}

static bool is_wide(const struct survival_rate *rate)
{
	return rate->high > rate->low * WIDE;
}

static void cell(struct text *text, double bytes_per_s, bool is_marked)
{
	size_t from = text->length;

	if (is_marked)
		text_char(text, '~');
	units_bytes(text, units_whole(bytes_per_s));
	text_align_right(text, from, WIDTH);
}

static void word(struct text *text, const char *string)
{
	size_t from = text->length;

	text_string(text, string);
	text_align_right(text, from, WIDTH);
}

static int put_row(const struct survivors_writer *writer, const struct survivor_row *row,
		   unsigned last, int fd)
{
	struct survival_rate rate;
	struct text text;

	text_init(&text, writer->buf, BUF_BYTES);
	for (unsigned age = 0; age < SURVIVAL_AGES; age++) {
		rate_of(writer, row->number, age, &rate);
		if (survival_reached(writer->run->survival, age))
			cell(&text, rate.bytes_per_s, age == last && is_wide(&rate));
		else
			word(&text, "-");
	}
	rate_of(writer, row->number, last, &rate);
	cell(&text, rate.low, false);
	cell(&text, rate.high, false);
	word(&text, units_count_text(rate.samples).s);
	text_char(&text, ' ');
	text_string(&text, fold_stack(writer->run->fold, row->number));
	text_char(&text, '\n');
	return put(fd, &text);
}

static bool has_wide(const struct survivors_writer *writer, unsigned last)
{
	struct survival_rate rate;

	for (unsigned i = 0; i < writer->rows && i < ROWS; i++) {
		rate_of(writer, writer->row[i].number, last, &rate);
		if (is_wide(&rate))
			return true;
	}
	return false;
}

static void describe(const struct survivors_writer *writer, unsigned last,
		     struct text *text)
{
	double seconds = (double)writer->run->took_ns / NS_PER_S;

	text_string(text, "# process ");
	text_u64(text, (uint64_t)writer->run->pid);
	text_string(text, " (");
	text_printable(text, writer->run->comm, SIZE_MAX);
	text_string(text, "): ");
	text_u64(text, writer->run->bursts);
	text_string(text, " bursts, ");
	text_string(text, units_ns_text(writer->run->watched_ns).s);
	text_string(text, " of ");
	text_fixed(text, seconds, 1);
	text_string(text, "s; ");
	text_u64(text, writer->run->calls);
	text_string(text, " allocations seen, ");
	text_u64(text, writer->run->sent);
	text_string(text, " of them followed, ");
	text_u64(text, writer->run->lost);
	text_string(text, " lost; ");
	text_u64(text, writer->run->looks);
	text_string(text, " looks at the heap\n# bytes a second that a stack allocates, "
			  "and of those the bytes still in use after 1s, 10s, 1m, 5m; "
			  "low and high: 95%, of ");
	text_string(text, last ? "the greatest age" : "what was allocated");
	text_string(text, "\n");
	if (has_wide(writer, last))
		text_string(text, "# ~ is an estimate of which little is known yet: "
				  "high is more than 16 times low; a longer run "
				  "knows more\n");
	if (writer->run->dilation < 1.01)
		return;
	text_string(text, "# while a burst lasts the process makes fewer calls: the "
			  "figures are scaled by ");
	text_fixed(text, writer->run->dilation, 2);
	text_string(text, "\n");
}

static int put_table(const struct survivors_writer *writer, unsigned last, int fd)
{
	static const char *const names[] = {"allocated", "1s",	"10s",	"1m",
					    "5m",	 "low", "high", "samples"};
	unsigned rows = writer->rows < ROWS ? writer->rows : ROWS;
	struct text text;
	int error;

	text_init(&text, writer->buf, BUF_BYTES);
	if (!writer->run->no_header)
		describe(writer, last, &text);
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		word(&text, names[i]);
	text_string(&text, " stack\n");
	error = put(fd, &text);
	for (unsigned i = 0; !error && i < rows; i++)
		error = put_row(writer, &writer->row[i], last, fd);
	return error;
}

static int put_folded(const struct survivors_writer *writer, int fd)
{
	struct text text;
	int error = 0;

	for (unsigned i = 0; !error && i < writer->rows; i++) {
		text_init(&text, writer->buf, BUF_BYTES);
		text_string(&text, fold_stack(writer->run->fold, writer->row[i].number));
		text_char(&text, ' ');
		text_u64(&text, units_whole(writer->row[i].bytes_per_s));
		text_char(&text, '\n');
		error = put(fd, &text);
	}
	return error;
}

static void json_age(const struct survivors_writer *writer, unsigned number, unsigned age,
		     struct text *text)
{
	struct survival_rate rate;

	rate_of(writer, number, age, &rate);
	json_element(text);
	json_member_u64(text, "age_ns", (uint64_t)survival_age_ns[age]);
	json_member_u64(text, "bytes_per_s", units_whole(rate.bytes_per_s));
	json_member_u64(text, "low_bytes_per_s", units_whole(floor(rate.low)));
	json_member_u64(text, "high_bytes_per_s", units_whole(rate.high));
	json_member_u64(text, "samples", rate.samples);
	json_member_u64(text, "freed", rate.freed);
	json_member_u64(text, "handed_out_again", rate.again);
	text_char(text, '}');
}

static int json_row(const struct survivors_writer *writer, unsigned i, int fd)
{
	struct text text;

	text_init(&text, writer->buf, BUF_BYTES);
	text_string(&text, i ? ",\n{" : "\n{");
	json_member_string(&text, "stack",
			   fold_stack(writer->run->fold, writer->row[i].number));
	text_string(&text, ",\"ages\":[");
	for (unsigned age = 0; age < SURVIVAL_AGES; age++)
		if (survival_reached(writer->run->survival, age))
			json_age(writer, writer->row[i].number, age, &text);
	text_string(&text, "]}");
	return put(fd, &text);
}

static int put_json(const struct survivors_writer *writer, int fd)
{
	struct text text;
	int error;

	text_init(&text, writer->buf, BUF_BYTES);
	text_char(&text, '{');
	json_member_string(&text, "kind", "survivors");
	json_member_u64(&text, "pid", (uint64_t)writer->run->pid);
	json_member_string(&text, "comm", writer->run->comm);
	json_member_u64(&text, "took_ns", (uint64_t)writer->run->took_ns);
	json_member_u64(&text, "bursts", writer->run->bursts);
	json_member_u64(&text, "watched_ns", writer->run->watched_ns);
	json_member_u64(&text, "looks", writer->run->looks);
	json_member_u64(&text, "calls", writer->run->calls);
	json_member_u64(&text, "followed", writer->run->sent);
	json_member_u64(&text, "lost", writer->run->lost);
	json_member_bool(&text, "free_watched", writer->run->watches_free);
	text_string(&text, ",\"dilation\":");
	text_fixed(&text, writer->run->dilation, 3);
	text_string(&text, ",\"stacks\":[");
	error = put(fd, &text);
	for (unsigned i = 0; !error && i < writer->rows; i++)
		error = json_row(writer, i, fd);
	return error ? error : output_write(fd, "]}\n", strlen("]}\n"));
}

int survivors_write(struct survivors_writer *writer, const struct survivors_run *run,
		    enum survivors_format format, int fd)
{
	unsigned last = survivors_oldest(run);

	writer->run = run;
	make_rows(writer, last);
	if (format == SURVIVORS_JSON)
		return put_json(writer, fd);
	return format == SURVIVORS_FOLDED ? put_folded(writer, fd)
					  : put_table(writer, last, fd);
}
