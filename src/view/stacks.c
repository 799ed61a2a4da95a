#include "view/stacks.h"

#include "base/output.h"
#include "base/text.h"
#include "base/units.h"
#include "view/json_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The longest stack as JSON. */
enum { BUF_BYTES = 1 << 18, WIDTH = 9 };

#define BYTES(value) units_bytes_text(units_whole(value)).s
#define NS_PER_S     1e9

static int put(int fd, struct text *text)
{
	int error =
		text->overflow ? -EOVERFLOW : output_write(fd, text->buf, text->length);

	text_init(text, text->buf, BUF_BYTES);
	return error;
}

/* ---- for people ---- */

static void word(struct text *text, const char *string)
{
	size_t from = text->length;

	text_string(text, string);
	text_align_right(text, from, WIDTH);
}

static void cells(struct text *text, const struct estimate *estimate, bool is_known)
{
	word(text, is_known ? BYTES(estimate_value(estimate)) : "-");
	word(text, is_known ? BYTES(estimate_low(estimate)) : "-");
	word(text, is_known ? BYTES(estimate_high(estimate)) : "-");
}

static void about_pins(struct text *text, const struct stack_uses *uses)
{
	if (uses->no_blockers) {
		text_string(text, "# what they pin is not known: ");
		text_printable(text, uses->no_blockers, SIZE_MAX);
		text_char(text, '\n');
		return;
	}
	text_string(text, "# pins: of ");
	text_string(text, BYTES((double)uses->pinned_bytes));
	text_string(text, " free bytes that chunks in use keep from going back, the part "
			  "of the stack's own chunks\n");
}

static void about_gaps(struct text *text, const struct stack_uses *uses)
{
	if (uses->forked)
		text_string(text, "# the process was forked: what it had from its parent "
				  "is not in the sample\n");
	if (!uses->dropped)
		return;
	text_string(text, "# for ");
	text_u64(text, uses->dropped);
	text_string(text, " of ");
	text_u64(text, uses->taken);
	text_string(text, " samples there was no room: the figures are too low; "
			  "run --stacks with more bytes takes fewer\n");
}

static void about(struct text *text, const struct stack_uses *uses)
{
	text_string(text, "# process ");
	text_u64(text, (uint64_t)uses->pid);
	text_string(text, " (");
	text_printable(text, uses->comm, SIZE_MAX);
	text_string(text, "): malloc of ");
	text_printable(text, uses->allocator, SIZE_MAX);
	text_string(text, ", a sample every ");
	text_string(text, BYTES((double)uses->mean_bytes));
	text_string(text, " on average, for ");
	text_string(text, units_span_text((double)uses->since_ns / NS_PER_S).s);
	text_string(text, "\n# in use: ");
	text_string(text, BYTES(uses->total.bytes.sum));
	if (!uses->total.samples) {
		text_string(text, " to ");
		text_string(text, BYTES(estimate_high(&uses->total.bytes)));
	}
	text_string(text, ", by ");
	text_u64(text, uses->total.samples);
	text_string(text, " samples; low and high: 95%\n");
	about_pins(text, uses);
	about_gaps(text, uses);
}

static void row(struct text *text, const struct stack_uses *uses,
		const struct stack_use *use)
{
	cells(text, &use->bytes, true);
	cells(text, &use->pinned_bytes, !uses->no_blockers);
	word(text, units_count_text(use->samples).s);
	word(text, units_span_text((double)use->oldest_ns / NS_PER_S).s);
	text_char(text, ' ');
	text_string(text, use->stack);
	text_char(text, '\n');
}

static int write_text(const struct stack_uses *uses, unsigned top, struct text *text,
		      int fd)
{
	static const char *const names[] = {"in use", "low",  "high",	 "pins",
					    "low",    "high", "samples", "oldest"};
	int error;

	about(text, uses);
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		word(text, names[i]);
	text_string(text, " stack\n");
	error = put(fd, text);
	for (unsigned i = 0; !error && i < uses->count && i < top; i++) {
		row(text, uses, &uses->use[i]);
		error = put(fd, text);
	}
	if (!error && uses->count > top) {
		text_string(text, "# ");
		text_u64(text, uses->count - top);
		text_string(text, " stacks more; --top N prints more\n");
		error = put(fd, text);
	}
	return error;
}

/* ---- for programs ---- */

static void json_estimate(struct text *text, const char *name,
			  const struct estimate *estimate)
{
	json_member_object(text, name);
	json_member_u64(text, "estimate", units_whole(estimate_value(estimate)));
	json_member_u64(text, "low", units_whole(floor(estimate_low(estimate))));
	json_member_u64(text, "high", units_whole(ceil(estimate_high(estimate))));
	text_char(text, '}');
}

static void json_use(struct text *text, const struct stack_uses *uses,
		     const struct stack_use *use)
{
	json_member_u64(text, "samples", use->samples);
	json_estimate(text, "blocks", &use->blocks);
	json_estimate(text, "bytes", &use->bytes);
	if (!uses->no_blockers)
		json_estimate(text, "pinned_bytes", &use->pinned_bytes);
	if (use->samples)
		json_member_u64(text, "oldest_ns", (uint64_t)use->oldest_ns);
}

static void json_about(struct text *text, const struct stack_uses *uses)
{
	text_char(text, '{');
	json_member_string(text, "kind", "stacks");
	json_member_u64(text, "pid", (uint64_t)uses->pid);
	json_member_string(text, "comm", uses->comm);
	json_member_string(text, "allocator", uses->allocator);
	json_member_u64(text, "mean_bytes", uses->mean_bytes);
	json_member_u64(text, "since_ns", (uint64_t)uses->since_ns);
	json_member_u64(text, "taken", uses->taken);
	json_member_u64(text, "dropped", uses->dropped);
	json_member_bool(text, "forked", uses->forked);
	if (uses->no_blockers)
		json_member_string(text, "no_pins", uses->no_blockers);
	else
		json_member_u64(text, "heap_pinned_bytes", uses->pinned_bytes);
	json_use(text, uses, &uses->total);
	text_string(text, ",\"stacks\":[");
}

static int write_json(const struct stack_uses *uses, struct text *text, int fd)
{
	int error;

	json_about(text, uses);
	error = put(fd, text);
	for (unsigned i = 0; !error && i < uses->count; i++) {
		text_string(text, i ? ",\n{" : "\n{");
		json_member_string(text, "stack", uses->use[i].stack);
		json_use(text, uses, &uses->use[i]);
		text_char(text, '}');
		error = put(fd, text);
	}
	return error ? error : output_write(fd, "]}\n", strlen("]}\n"));
}

static int write_folded(const struct stack_uses *uses, bool by_pins, struct text *text,
			int fd)
{
	int error = 0;

	for (unsigned i = 0; !error && i < uses->count; i++) {
		const struct stack_use *use = &uses->use[i];

		text_string(text, use->stack);
		text_char(text, ' ');
		text_u64(text, units_whole(estimate_value(by_pins ? &use->pinned_bytes
								  : &use->bytes)));
		text_char(text, '\n');
		error = put(fd, text);
	}
	return error;
}

int stacks_write(const struct stack_uses *uses, unsigned top, bool by_pins,
		 enum stacks_format format, int fd)
{
	char *buf = malloc(BUF_BYTES);
	struct text text;
	int error;

	if (!buf)
		return -ENOMEM;
	text_init(&text, buf, BUF_BYTES);
	if (format == STACKS_JSON)
		error = write_json(uses, &text, fd);
	else if (format == STACKS_FOLDED)
		error = write_folded(uses, by_pins, &text, fd);
	else
		error = write_text(uses, top, &text, fd);
	free(buf);
	return error;
}
