#include "view/fold.h"

#include "base/alloc_touched.h"
#include "base/output.h"
#include "base/units.h"
#include "view/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* Of one frame in a stack's line: a name, and an offset or the separator. */
	FRAME_BYTES = EVENT_NAME_BYTES + 24,
	LINE_BYTES = EVENT_FRAMES * FRAME_BYTES + 128,
	STACK_BYTES = 1024, /* that a stack's line takes, on average */
	SPECIAL_ROWS = 2,
	COLUMN_WIDTH = 8,
};

const char fold_caveat[] = "Who made the heap grow is not always who keeps the memory: a "
			   "growth is charged to "
			   "the call that met the end of the heap.";

/* Rows of what has no stack of its own; they never want for room. */
static const char no_room[] = "[no room]";
static const char unseen[] = "[no stack: limited]";

struct counts {
	uint64_t bytes;
	uint64_t growths;
	uint64_t failures;
};

struct fold_entry {
	const char *stack; /* null: free */
	struct counts counts;
};

struct fold {
	struct counts total; /* of fold_add */
	struct fold_entry no_room, unseen;
	unsigned max_stacks, stacks;
	unsigned slots; /* a power of 2, twice MAX_STACKS at least */
	struct fold_entry *slot;
	const struct fold_entry **order; /* room for all rows, to sort them */
	size_t strings_bytes, strings_used;
	char *strings;
	char line[LINE_BYTES];
};

/* ---- memory ---- */

static unsigned slots_for(unsigned max_stacks)
{
	unsigned slots = 2;

	while (slots / 2 < max_stacks)
		slots *= 2;
	return slots;
}

int fold_new(struct fold **fold, unsigned max_stacks)
{
	struct fold *new = alloc_touched(sizeof(*new));

	*fold = NULL;
	if (!new)
		return -ENOMEM;
	new->max_stacks = max_stacks;
	new->slots = slots_for(max_stacks);
	new->strings_bytes = (size_t)max_stacks *STACK_BYTES;
	new->slot = alloc_touched(new->slots * sizeof(*new->slot));
	new->order =
		alloc_touched((max_stacks + SPECIAL_ROWS) * sizeof(struct fold_entry *));
	new->strings = alloc_touched(new->strings_bytes);
	if (!new->slot || !new->order || !new->strings) {
		fold_free(new);
		return -ENOMEM;
	}
	new->no_room.stack = no_room;
	new->unseen.stack = unseen;
	*fold = new;
	return 0;
}

void fold_free(struct fold *fold)
{
	if (!fold)
		return;
	free(fold->slot);
	free(fold->order);
	free(fold->strings);
	free(fold);
}

/* ---- stacks as lines ---- */

static void frame_name(struct text *text, const struct frame *frame)
{
	size_t from = text->length;

	if (frame->function) {
		events_name(text, frame->function);
	} else if (frame->module) {
		events_name(text, frame->module);
		text_char(text, '+');
		text_hex(text, frame->offset);
	} else {
		text_string(text, "[no file]");
	}
	/* What parts frames must not be in one; line ends are gone already. */
	for (size_t i = from; i < text->length; i++)
		if (text->buf[i] == ';')
			text->buf[i] = ':';
}

/* A stack that is cut must not pass for one that begins where it was cut. */
static void stack_line(struct text *text, const struct event *event)
{
	if (!(event->has & EVENT_HAS_STACK) || !event->frame_count) {
		text_string(text, "[no stack]");
		return;
	}
	if (!event->stack_whole)
		text_string(text, "[cut];");
	for (unsigned i = events_frames(event); i-- > 0;) {
		frame_name(text, &event->frame[i]);
		if (i)
			text_char(text, ';');
	}
}

/* ---- rows ---- */

/* FNV-1a. */
static uint64_t hash(const char *string, size_t length)
{
	uint64_t value = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < length; i++)
		value = (value ^ (unsigned char)string[i]) * UINT64_C(0x100000001b3);
	return value ^ value >> 32;
}

/* The row of the stack LINE, made if need be; null: there is no room. */
static struct fold_entry *row_of(struct fold *fold, const struct text *line)
{
	uint64_t at = hash(line->buf, line->length);
	struct fold_entry *row;

	for (;; at++) {
		row = &fold->slot[at & (fold->slots - 1)];
		if (!row->stack)
			break;
		if (!strcmp(row->stack, line->buf))
			return row;
	}
	if (fold->stacks == fold->max_stacks ||
	    fold->strings_bytes - fold->strings_used <= line->length)
		return NULL;
	row->stack =
		memcpy(fold->strings + fold->strings_used, line->buf, line->length + 1);
	fold->strings_used += line->length + 1;
	fold->stacks++;
	return row;
}

static void count(struct counts *counts, const struct event *event)
{
	if (event->kind == EVENT_FAILURE) {
		counts->failures++;
		return;
	}
	counts->growths++;
	if (event->has & EVENT_HAS_BYTES)
		counts->bytes += event->bytes;
}

int fold_add(struct fold *fold, const struct event *event)
{
	struct text line;
	struct fold_entry *row;

	if (event->kind == EVENT_THRESHOLD || event->kind == EVENT_KILL)
		return 0;
	text_init(&line, fold->line, sizeof(fold->line));
	stack_line(&line, event);
	row = row_of(fold, &line);
	count(&fold->total, event);
	count(row ? &row->counts : &fold->no_room.counts, event);
	return row ? 0 : -ENOSPC;
}

unsigned fold_number(struct fold *fold, const struct event *event)
{
	struct text line;
	const struct fold_entry *row;

	text_init(&line, fold->line, sizeof(fold->line));
	stack_line(&line, event);
	row = row_of(fold, &line);
	return row ? (unsigned)(row - fold->slot) : fold->slots;
}

unsigned fold_numbers(const struct fold *fold)
{
	return fold->slots + 1;
}

const char *fold_stack(const struct fold *fold, unsigned number)
{
	return number < fold->slots ? fold->slot[number].stack : no_room;
}

static uint64_t above(uint64_t all, uint64_t part)
{
	return all > part ? all - part : 0;
}

void fold_add_unseen(struct fold *fold, uint64_t growths, uint64_t bytes,
		     uint64_t failures)
{
	fold->unseen.counts = (struct counts){
		.growths = above(growths, fold->total.growths),
		.bytes = above(bytes, fold->total.bytes),
		.failures = above(failures, fold->total.failures),
	};
}

/* ---- output ---- */

static int descending(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int by_weight(const void *left, const void *right)
{
	const struct fold_entry *a = *(const struct fold_entry *const *)left;
	const struct fold_entry *b = *(const struct fold_entry *const *)right;
	int order = descending(a->counts.bytes, b->counts.bytes);

	if (!order)
		order = descending(a->counts.failures, b->counts.failures);
	if (!order)
		order = descending(a->counts.growths, b->counts.growths);
	return order ? order : strcmp(a->stack, b->stack);
}

static bool is_used(const struct fold_entry *row)
{
	return row->stack &&
	       (row->counts.growths || row->counts.failures || row->counts.bytes);
}

/* Puts the rows in fold->order; returns how many. qsort may take memory, but can do
 * without. */
static unsigned sort(struct fold *fold)
{
	unsigned rows = 0;

	for (unsigned i = 0; i < fold->slots; i++)
		if (is_used(&fold->slot[i]))
			fold->order[rows++] = &fold->slot[i];
	if (is_used(&fold->no_room))
		fold->order[rows++] = &fold->no_room;
	if (is_used(&fold->unseen))
		fold->order[rows++] = &fold->unseen;
	qsort(fold->order, rows, sizeof(const struct fold_entry *), by_weight);
	return rows;
}

unsigned fold_best(struct fold *fold, struct fold_row *out, unsigned max)
{
	unsigned rows = sort(fold);

	rows = rows < max ? rows : max;
	for (unsigned i = 0; i < rows; i++)
		out[i] = (struct fold_row){
			.stack = fold->order[i]->stack,
			.bytes = fold->order[i]->counts.bytes,
			.growths = fold->order[i]->counts.growths,
			.failures = fold->order[i]->counts.failures,
		};
	return rows;
}

static void column(struct text *text, size_t from)
{
	text_align_right(text, from, COLUMN_WIDTH);
	text_char(text, ' ');
}

static void table_head(struct text *text)
{
	static const char *const names[] = {"bytes", "growths", "failures"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t from = text->length;

		text_string(text, names[i]);
		column(text, from);
	}
	text_string(text, "stack\n");
}

/* Bytes are scaled; the counts are not, so that they can be compared. */
static void table_row(struct text *text, const struct fold_entry *row)
{
	size_t from = text->length;

	units_bytes(text, row->counts.bytes);
	column(text, from);
	from = text->length;
	text_u64(text, row->counts.growths);
	column(text, from);
	from = text->length;
	text_u64(text, row->counts.failures);
	column(text, from);
	text_string(text, row->stack);
	text_char(text, '\n');
}

static void folded_row(struct text *text, const struct fold_entry *row)
{
	if (!row->counts.bytes)
		return;
	text_string(text, row->stack);
	text_char(text, ' ');
	text_u64(text, row->counts.bytes);
	text_char(text, '\n');
}

/* Writes ROW as WRITE appends it. */
static int put(struct fold *fold, int fd, const struct fold_entry *row,
	       void (*write)(struct text *text, const struct fold_entry *row))
{
	struct text text;

	text_init(&text, fold->line, sizeof(fold->line));
	write(&text, row);
	return output_write(fd, text.buf, text.length);
}

static int put_head(struct fold *fold, int fd)
{
	struct text text;

	text_init(&text, fold->line, sizeof(fold->line));
	table_head(&text);
	return output_write(fd, text.buf, text.length);
}

int fold_table(struct fold *fold, int fd)
{
	const struct fold_entry total = {
		.stack = "[total]",
		.counts = {.bytes = fold->total.bytes + fold->unseen.counts.bytes,
			   .growths = fold->total.growths + fold->unseen.counts.growths,
			   .failures =
				   fold->total.failures + fold->unseen.counts.failures},
	};
	unsigned rows = sort(fold);
	int error = put_head(fold, fd);

	for (unsigned i = 0; !error && i < rows; i++)
		error = put(fold, fd, fold->order[i], table_row);
	return error ? error : put(fold, fd, &total, table_row);
}

int fold_folded(struct fold *fold, int fd)
{
	unsigned rows = sort(fold);
	int error = 0;

	for (unsigned i = 0; !error && i < rows; i++)
		error = put(fold, fd, fold->order[i], folded_row);
	return error;
}
