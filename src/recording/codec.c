#include "recording/codec.h"

#include "base/alloc_touched.h"
#include "recording/varint.h"

#include <errno.h>
#include <string.h>

/*
 * varint	what
 * source	plus 8: ratios with a formula are left out where they are what it gives
 *		plus 16: ranges follow each row
 * texts	bit I: text I follows, its length and its bytes
 * arenas
 * then a row for the process and one an arena:
 *   changes	twice the number of figures that changed, and 1 if who it is changed too
 *   [index addr status]
 *   figures	each twice its number, less the number before it, and 1 if it is absent
 *		now; then the difference to its last value, zigzag, or of a ratio the bits
 *		that differ, the highest byte first.
 *   [ranges	how many figures are estimates, then each: twice its number, plus 1 if it
 *is a ratio; how far its interval reaches below and above, or of a ratio the two ends, as
 *doubles]
 */
enum { BY_FORMULA = 8, HAS_RANGES = 16 };

enum {
	ROW_BYTES = 4 * VARINT_MAX + FIG_COUNT * 2 * VARINT_MAX +
		    (1 + 3 * FIGURE_RANGES) * VARINT_MAX
};

struct codec_state *codec_new(unsigned arenas)
{
	struct codec_state *state;

	state = alloc_touched(sizeof(*state) +
			      (1 + (size_t)arenas) * sizeof(state->row[0]));
	if (state)
		state->row_capacity = 1 + arenas;
	return state;
}

void codec_reset(struct codec_state *state)
{
	memset(state->text, 0, sizeof(state->text));
	memset(state->row, 0, state->row_capacity * sizeof(state->row[0]));
}

size_t codec_bound(unsigned arenas)
{
	return CODEC_TEXTS * (SAMPLE_TEXT + VARINT_MAX) + 3 * VARINT_MAX +
	       (1 + (size_t)arenas) * ROW_BYTES;
}

/* ---- texts ---- */

static const char *text_of(const struct sample *sample, unsigned i)
{
	const char *const text[CODEC_TEXTS] = {sample->comm, sample->allocator,
					       sample->missing};

	return text[i];
}

static unsigned char *put_texts(struct codec_state *state, const struct sample *sample,
				unsigned char *at)
{
	unsigned changed = 0;

	for (unsigned i = 0; i < CODEC_TEXTS; i++)
		if (strcmp(state->text[i], text_of(sample, i)) != 0)
			changed |= 1U << i;
	at = varint_put(at, changed);
	for (unsigned i = 0; i < CODEC_TEXTS; i++) {
		size_t length = strlen(text_of(sample, i));

		if (!(changed >> i & 1))
			continue;
		at = varint_put(at, length);
		memcpy(at, text_of(sample, i), length);
		at += length;
		memcpy(state->text[i], text_of(sample, i), length + 1);
	}
	return at;
}

static void get_texts(struct codec_state *state, struct varint_input *in,
		      struct sample *sample)
{
	char *const into[CODEC_TEXTS] = {sample->comm, sample->allocator,
					 sample->missing};
	uint64_t changed = varint_get(in);

	for (unsigned i = 0; i < CODEC_TEXTS; i++) {
		if (changed >> i & 1) {
			uint64_t length = varint_get(in);

			if (length >= SAMPLE_TEXT ||
			    length > (size_t)(in->end - in->at)) {
				in->bad = true;
				return;
			}
			memcpy(state->text[i], in->at, length);
			state->text[i][length] = '\0';
			in->at += length;
		}
		memcpy(into[i], state->text[i], SAMPLE_TEXT);
	}
	in->bad |= changed >> CODEC_TEXTS != 0;
}

/* ---- rows ---- */

/* What stands for the step from OLD to NEW. */
static uint64_t step(enum figure f, uint64_t old, uint64_t new)
{
	if (figure_info[f].unit == UNIT_RATIO)
		return __builtin_bswap64(old ^ new);
	return varint_zigzag(new - old);
}

static uint64_t bits_of(const struct figures *fig, enum figure f)
{
	uint64_t bits;

	memcpy(&bits, &fig->v[f], sizeof(bits));
	return bits;
}

static bool has(const struct codec_row *row, unsigned number)
{
	return row->have[number / 64] >> number % 64 & 1;
}

static void set(struct codec_row *row, unsigned number, bool present, uint64_t value)
{
	row->have[number / 64] &= ~(UINT64_C(1) << number % 64);
	row->have[number / 64] |= (uint64_t)present << number % 64;
	row->value[number] = present ? value : 0;
}

/* What stands for a ratio that is absent although its formula gives a value. */
static const uint64_t absent_bits = UINT64_MAX;

/* Whether F must be written, and its bits. What its formula gives need not be: the last
 * digits of ratios are noise, which takes more room than all that they follow from. */
static bool coded(const struct figures *fig, enum figure f, uint64_t *bits)
{
	union figure_value by_formula = {0};
	bool present = figure_has(fig, f), follows = false;

	*bits = present ? bits_of(fig, f) : 0;
	if (!figure_info[f].derive)
		return present;
	follows = figure_info[f].derive(fig, &by_formula.d);
	if (follows && !present)
		*bits = absent_bits;
	else if (follows && *bits == by_formula.u)
		*bits = 0;
	else
		return present;
	return *bits != 0;
}

/* Appends figure F if it is not what ROW says. *LAST is the number before it. */
static unsigned char *put_figure(struct codec_row *row, unsigned number, enum figure f,
				 const struct figures *fig, unsigned *last,
				 unsigned char *at)
{
	uint64_t value;
	bool present = coded(fig, f, &value);

	if (present == has(row, number) && value == row->value[number])
		return at;
	at = varint_put(at, varint_zigzag((uint64_t)number - *last) << 1 | !present);
	if (present)
		at = varint_put(at, step(f, row->value[number], value));
	set(row, number, present, value);
	*last = number;
	return at;
}

/* Who a row is: of the process all zeros. */
static unsigned char *put_row(struct codec_row *row, const struct codec_numbers *numbers,
			      const struct codec_row *who, const struct figures *fig,
			      unsigned char *at)
{
	bool other = row->index != who->index || row->addr != who->addr ||
		     row->status != who->status;
	unsigned char changes[FIG_COUNT * 2 * VARINT_MAX] = {0}, *end = changes;
	unsigned count = 0, last = 0;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		unsigned char *before = end;

		end = put_figure(row, numbers->number[f], f, fig, &last, end);
		count += end != before;
	}
	at = varint_put(at, (uint64_t)count << 1 | other);
	if (other) {
		at = varint_put(at, who->index);
		at = varint_put(at, who->addr);
		at = varint_put(at, who->status);
		row->index = who->index;
		row->addr = who->addr;
		row->status = who->status;
	}
	memcpy(at, changes, (size_t)(end - changes));
	return at + (end - changes);
}

/* ---- ranges ---- */

static bool has_range(const struct figures *fig, enum figure f)
{
	return figure_can_be_estimated(f) && figure_has(fig, f) &&
	       figure_is_estimated(fig, f);
}

static unsigned ranges_of(const struct figures *fig)
{
	unsigned count = 0;

	for (unsigned f = 0; f < FIG_COUNT; f++)
		count += has_range(fig, f);
	return count;
}

static bool has_ranges(const struct sample *sample)
{
	bool has = ranges_of(&sample->fig) != 0;

	for (unsigned i = 0; i < sample->arena_count && !has; i++)
		has = ranges_of(&sample->arena[i].fig) != 0;
	return has;
}

static unsigned char *put_range(const struct figures *fig, enum figure f, unsigned number,
				unsigned char *at)
{
	bool is_ratio = figure_info[f].unit == UNIT_RATIO;
	double ends[2], middle = figure_number(fig, f);

	figure_range(fig, f, &ends[0], &ends[1]);
	at = varint_put(at, (uint64_t)number << 1 | is_ratio);
	if (is_ratio) {
		memcpy(at, ends, sizeof(ends));
		return at + sizeof(ends);
	}
	at = varint_put(at, (uint64_t)(middle - ends[0]));
	return varint_put(at, (uint64_t)(ends[1] - middle));
}

static unsigned char *put_ranges(const struct codec_numbers *numbers,
				 const struct figures *fig, unsigned char *at)
{
	at = varint_put(at, ranges_of(fig));
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (has_range(fig, f))
			at = put_range(fig, f, numbers->number[f], at);
	return at;
}

static void get_range(const struct codec_numbers *numbers, struct varint_input *in,
		      struct figures *fig)
{
	uint64_t code = varint_get(in), number = code >> 1;
	unsigned f = number < CODEC_FIGURES ? numbers->figure[number] : FIG_COUNT;
	bool is_known = f < FIG_COUNT && figure_can_be_estimated(f) && figure_has(fig, f);
	double ends[2];

	if (code & 1) {
		in->bad |= in->end - in->at < (ptrdiff_t)sizeof(ends);
		if (in->bad)
			return;
		memcpy(ends, in->at, sizeof(ends));
		in->at += sizeof(ends);
	} else {
		double middle = is_known ? figure_number(fig, f) : 0;

		ends[0] = middle - (double)varint_get(in);
		ends[1] = middle + (double)varint_get(in);
	}
	if (is_known && !in->bad)
		figure_set_range(fig, f, ends[0], ends[1]);
}

static void get_ranges(const struct codec_numbers *numbers, struct varint_input *in,
		       struct figures *fig)
{
	for (uint64_t count = varint_get(in); count && !in->bad; count--)
		get_range(numbers, in, fig);
}

/* ---- writing ---- */

size_t codec_write(struct codec_state *state, const struct codec_numbers *numbers,
		   const struct sample *sample, unsigned char *buf)
{
	struct codec_row who = {.status = sample->status};
	bool ranges = has_ranges(sample);
	unsigned char *at = buf;

	if (sample->arena_count >= state->row_capacity)
		return 0;
	at = varint_put(at, sample->source | BY_FORMULA | (ranges ? HAS_RANGES : 0));
	at = put_texts(state, sample, at);
	at = varint_put(at, sample->arena_count);
	at = put_row(&state->row[0], numbers, &who, &sample->fig, at);
	if (ranges)
		at = put_ranges(numbers, &sample->fig, at);
	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct arena_row *arena = &sample->arena[i];

		who.index = arena->index;
		who.addr = arena->addr;
		who.status = arena->status;
		at = put_row(&state->row[1 + i], numbers, &who, &arena->fig, at);
		if (ranges)
			at = put_ranges(numbers, &arena->fig, at);
	}
	return (size_t)(at - buf);
}

/* ---- reading ---- */

static bool is_ratio(const struct codec_numbers *numbers, unsigned number)
{
	unsigned f = numbers->figure[number];

	return f < FIG_COUNT && figure_info[f].unit == UNIT_RATIO;
}

static void get_figure(struct codec_row *row, const struct codec_numbers *numbers,
		       unsigned *last, struct varint_input *in)
{
	uint64_t code = varint_get(in), number = *last + varint_unzigzag(code >> 1), by;

	if (number >= CODEC_FIGURES) {
		in->bad = true;
		return;
	}
	*last = (unsigned)number;
	if (code & 1) {
		set(row, *last, false, 0);
		return;
	}
	by = varint_get(in);
	set(row, *last, true,
	    is_ratio(numbers, *last) ? row->value[number] ^ __builtin_bswap64(by)
				     : row->value[number] + varint_unzigzag(by));
}

static void get_row(struct codec_row *row, const struct codec_numbers *numbers,
		    struct varint_input *in)
{
	uint64_t changes = varint_get(in);
	unsigned last = 0;

	if (changes & 1) {
		row->index = varint_get(in);
		row->addr = varint_get(in);
		row->status = varint_get(in);
	}
	for (changes >>= 1; changes && !in->bad; changes--)
		get_figure(row, numbers, &last, in);
	in->bad |= row->status > STATUS_ESTIMATED;
}

/* The ratios that were left out, in the order in which they follow from each other. */
static void add_ratios(const struct codec_row *row, const struct codec_numbers *numbers,
		       struct figures *fig)
{
	double ratio;

	for (unsigned f = 0; f < FIG_COUNT; f++) {
		unsigned number = numbers->number[f];

		if (!figure_info[f].derive || number >= CODEC_FIGURES)
			continue;
		if (has(row, number) && row->value[number] == absent_bits)
			figure_drop(fig, f);
		else if (!has(row, number) && figure_info[f].derive(fig, &ratio))
			figure_set_ratio(fig, f, ratio);
	}
}

static void row_figures(const struct codec_row *row, const struct codec_numbers *numbers,
			bool by_formula, struct figures *fig)
{
	for (unsigned number = 0; number < numbers->count; number++) {
		unsigned f = numbers->figure[number];

		if (f >= FIG_COUNT || !has(row, number))
			continue;
		figure_set(fig, f, 0);
		memcpy(&fig->v[f], &row->value[number], sizeof(fig->v[f]));
	}
	if (by_formula)
		add_ratios(row, numbers, fig);
}

static void get_rows(struct codec_state *state, const struct codec_numbers *numbers,
		     unsigned flags, struct varint_input *in, struct sample *sample)
{
	get_row(&state->row[0], numbers, in);
	sample->status = (enum sample_status)state->row[0].status;
	row_figures(&state->row[0], numbers, flags & BY_FORMULA, &sample->fig);
	if (flags & HAS_RANGES)
		get_ranges(numbers, in, &sample->fig);
	for (unsigned i = 0; i < sample->arena_count && !in->bad; i++) {
		struct codec_row *row = &state->row[1 + i];
		struct arena_row *arena = &sample->arena[i];

		get_row(row, numbers, in);
		arena->index = (unsigned)row->index;
		arena->addr = row->addr;
		arena->status = (enum sample_status)row->status;
		row_figures(row, numbers, flags & BY_FORMULA, &arena->fig);
		if (flags & HAS_RANGES)
			get_ranges(numbers, in, &arena->fig);
	}
}

int codec_read(struct codec_state *state, const struct codec_numbers *numbers,
	       const unsigned char *data, size_t length, struct sample *sample,
	       unsigned *arenas)
{
	struct varint_input in = {data, data + length, false};
	uint64_t source = varint_get(&in), count;
	unsigned flags = source & (BY_FORMULA | HAS_RANGES);

	source &= ~(uint64_t)flags;
	sample->source = (enum sample_source)source;
	get_texts(state, &in, sample);
	count = varint_get(&in);
	/* A row takes a byte at least. */
	if (in.bad || source > SOURCE_PRELOAD || count > length)
		return -EPROTO;
	*arenas = (unsigned)count;
	if (count > sample->arena_capacity || count >= state->row_capacity)
		return -ENOSPC;
	sample->arena_count = (unsigned)count;
	get_rows(state, numbers, flags, &in, sample);
	return in.bad || in.at != in.end ? -EPROTO : 0;
}
