#include "recording/look_codec.h"

#include "recording/varint.h"

#include <errno.h>
#include <string.h>

/* Nothing more is written once FULL is set. */
struct output {
	unsigned char *at, *end;
	bool full;
};

static void put(struct output *out, uint64_t value)
{
	out->full |= out->end - out->at < VARINT_MAX;
	if (!out->full)
		out->at = varint_put(out->at, value);
}

static void put_bytes(struct output *out, const void *bytes, size_t length)
{
	out->full |= (size_t)(out->end - out->at) < length;
	if (out->full)
		return;
	memcpy(out->at, bytes, length);
	out->at += length;
}

static void get_bytes(struct varint_input *in, void *bytes, size_t length)
{
	in->bad |= (size_t)(in->end - in->at) < length;
	if (in->bad)
		return;
	memcpy(bytes, in->at, length);
	in->at += length;
}

static void put_text(struct output *out, const char *text)
{
	put(out, strlen(text));
	put_bytes(out, text, strlen(text));
}

/* Into TEXT, which holds SIZE bytes. */
static void get_text(struct varint_input *in, char *text, size_t size)
{
	uint64_t length = varint_get(in);

	in->bad |= length >= size;
	if (in->bad)
		return;
	get_bytes(in, text, length);
	text[length] = '\0';
}

/* One of COUNT. */
static unsigned get_below(struct varint_input *in, unsigned count)
{
	uint64_t value = varint_get(in);

	in->bad |= value >= count;
	return in->bad ? 0 : (unsigned)value;
}

static uint32_t get_u32(struct varint_input *in)
{
	uint64_t value = varint_get(in);

	in->bad |= value > UINT32_MAX;
	return (uint32_t)value;
}

static size_t length_of(const struct output *out, const unsigned char *buf)
{
	return out->full ? 0 : (size_t)(out->at - buf);
}

static int outcome(const struct varint_input *in)
{
	return in->bad || in->at != in->end ? -EPROTO : 0;
}

/* ---- the map of an arena ---- */

enum {
	CELL_NUMBERS = MAP_KINDS + 6,
	PRINT_BYTES = 4, /* of a fingerprint: 1 in 2^32 changes goes unseen */
};

/* What of a cell is 0 in most of them. */
static void cell_numbers(const struct map_cell *cell, uint64_t number[CELL_NUMBERS])
{
	memcpy(number, cell->bytes, sizeof(cell->bytes));
	number[MAP_KINDS] = cell->top_bytes;
	number[MAP_KINDS + 1] = cell->resident_bytes;
	number[MAP_KINDS + 2] = cell->largest_free_bytes;
	number[MAP_KINDS + 3] = cell->live_chunks;
	number[MAP_KINDS + 4] = cell->free_chunks;
	number[MAP_KINDS + 5] = cell->cached_chunks;
}

static void put_cell(struct output *out, const struct map_cell *cell, uint64_t from)
{
	uint64_t number[CELL_NUMBERS], mask = 0;
	uint32_t print = (uint32_t)cell->fingerprint;

	cell_numbers(cell, number);
	for (unsigned i = 0; i < CELL_NUMBERS; i++)
		mask |= (uint64_t)(number[i] != 0) << i;
	put(out, cell->from - from);
	put(out, cell->to - cell->from);
	put(out, mask);
	for (unsigned i = 0; i < CELL_NUMBERS; i++)
		if (number[i])
			put(out, number[i]);
	put_bytes(out, &print, PRINT_BYTES);
}

static void get_cell(struct varint_input *in, struct map_cell *cell, uint64_t from)
{
	uint64_t number[CELL_NUMBERS] = {0}, mask;
	uint32_t print = 0;

	cell->from = from + varint_get(in);
	cell->to = cell->from + varint_get(in);
	mask = varint_get(in);
	in->bad |= mask >> CELL_NUMBERS != 0;
	for (unsigned i = 0; i < CELL_NUMBERS && !in->bad; i++)
		if (mask >> i & 1)
			number[i] = varint_get(in);
	get_bytes(in, &print, PRINT_BYTES);
	memcpy(cell->bytes, number, sizeof(cell->bytes));
	cell->top_bytes = number[MAP_KINDS];
	cell->resident_bytes = number[MAP_KINDS + 1];
	cell->largest_free_bytes = number[MAP_KINDS + 2];
	cell->live_chunks = (uint32_t)number[MAP_KINDS + 3];
	cell->free_chunks = (uint32_t)number[MAP_KINDS + 4];
	cell->cached_chunks = (uint32_t)number[MAP_KINDS + 5];
	cell->fingerprint = print;
	/* Cells are in order: who looks one up relies on it. */
	in->bad |= cell->from < from || cell->to <= cell->from;
}

size_t look_map_write(const struct heap_map *map, unsigned char *buf, size_t capacity)
{
	struct output out = {buf, buf + capacity, false};
	uint64_t from = 0;

	put(&out, map->status);
	put_text(&out, map->missing);
	put(&out, map->arena_from);
	put(&out, map->arena_to);
	put(&out, map->cell_bytes);
	put(&out, map->cell_count);
	if (map->cell_count)
		put_cell(&out, &map->total, 0);
	for (unsigned i = 0; i < map->cell_count; i++) {
		put_cell(&out, &map->cell[i], from);
		from = map->cell[i].to;
	}
	return length_of(&out, buf);
}

int look_map_read(const unsigned char *data, size_t length, struct heap_map *map)
{
	struct varint_input in = {data, data + length, false};
	uint64_t from = 0, count;

	heap_map_clear(map);
	map->from = map->to = 0;
	map->status = get_below(&in, STATUS_ESTIMATED + 1);
	get_text(&in, map->missing, sizeof(map->missing));
	map->arena_from = varint_get(&in);
	map->arena_to = varint_get(&in);
	map->cell_bytes = varint_get(&in);
	count = varint_get(&in);
	if (in.bad || count > length)
		return -EPROTO;
	if (count > map->cell_capacity)
		return -ENOSPC;
	if (count)
		get_cell(&in, &map->total, 0);
	for (unsigned i = 0; i < count && !in.bad; i++) {
		get_cell(&in, &map->cell[i], from);
		from = map->cell[i].to;
	}
	map->cell_count = in.bad ? 0 : (unsigned)count;
	return outcome(&in);
}

/* ---- free chunks by their size ---- */

enum { PLACES = SAMPLE_FASTBINS + SAMPLE_BINS };

static struct bin_total *bin_at(struct arena_bins *bins, unsigned place)
{
	return place < SAMPLE_FASTBINS ? &bins->fast[place]
				       : &bins->bins[place - SAMPLE_FASTBINS];
}

/* Most bins are of one size. */
static void put_bin(struct output *out, const struct bin_total *bin, unsigned place)
{
	bool is_one = bin->from_bytes == bin->to_bytes &&
		      bin->total_bytes == bin->from_bytes * bin->count;

	put(out, place << 1 | is_one);
	put(out, bin->from_bytes);
	put(out, bin->count);
	if (is_one)
		return;
	put(out, bin->to_bytes);
	put(out, bin->total_bytes);
}

static void get_bin(struct varint_input *in, struct arena_bins *bins)
{
	unsigned code = get_below(in, PLACES << 1);
	struct bin_total *bin = bin_at(bins, code >> 1);

	bin->from_bytes = bin->to_bytes = varint_get(in);
	bin->count = varint_get(in);
	bin->total_bytes = bin->from_bytes * bin->count;
	if (code & 1)
		return;
	bin->to_bytes = varint_get(in);
	bin->total_bytes = varint_get(in);
}

static void put_bins(struct output *out, const struct arena_row *row)
{
	uint64_t top = figure_has(&row->fig, FIG_TOP_BYTES)
			       ? row->fig.v[FIG_TOP_BYTES].u + 1
			       : 0;
	unsigned count = 0;

	for (unsigned place = 0; place < PLACES; place++)
		count += bin_at(row->bins, place)->count != 0;
	put(out, row->index);
	put(out, top);
	put(out, (unsigned)row->bins->split << 1 | row->bins->sized);
	put(out, count);
	for (unsigned place = 0; place < PLACES; place++)
		if (bin_at(row->bins, place)->count)
			put_bin(out, bin_at(row->bins, place), place);
}

static void get_bins(struct varint_input *in, struct arena_row *row)
{
	uint64_t top, count;
	unsigned flags;

	row->index = get_u32(in);
	top = varint_get(in);
	flags = get_below(in, 4);
	count = varint_get(in);
	if (top)
		figure_set(&row->fig, FIG_TOP_BYTES, top - 1);
	row->bins->split = flags >> 1;
	row->bins->sized = flags & 1;
	for (; count && !in->bad; count--)
		get_bin(in, row->bins);
}

/* Of arenas whose bins could not be told there is nothing. */
size_t look_sizes_write(const struct sample *sample, unsigned char *buf, size_t capacity)
{
	struct output out = {buf, buf + capacity, false};
	unsigned count = 0;

	for (unsigned i = 0; i < sample->arena_count; i++)
		count += sample->arena[i].bins != NULL;
	put(&out, count);
	for (unsigned i = 0; i < sample->arena_count; i++)
		if (sample->arena[i].bins)
			put_bins(&out, &sample->arena[i]);
	return length_of(&out, buf);
}

int look_sizes_read(const unsigned char *data, size_t length, struct sample *sample)
{
	struct varint_input in = {data, data + length, false};
	uint64_t count = varint_get(&in);

	/* An arena takes four bytes at least. */
	if (in.bad || count > length / 4)
		return -EPROTO;
	if (count > sample->arena_capacity)
		return -ENOSPC;
	sample->arena_count = (unsigned)count;
	for (unsigned i = 0; i < count && !in.bad; i++)
		get_bins(&in, &sample->arena[i]);
	if (in.bad)
		sample->arena_count = 0;
	return outcome(&in);
}

/* ---- owners ---- */

/* The numbers of a structure, in the order of the file; released. */
#define OF(type, field) offsetof(struct type, field)

static const size_t step_numbers[] = {
	OF(owner_step, chunks),	  OF(owner_step, bytes), OF(owner_step, from_bytes),
	OF(owner_step, to_bytes), OF(owner_step, words), OF(owner_step, pointers),
	OF(owner_step, offset),
};

static const size_t owner_numbers[] = {
	OF(owner, root_slots),	   OF(owner, asked_chunks), OF(owner, asked_bytes),
	OF(owner, shared_chunks),  OF(owner, below_chunks), OF(owner, below_bytes),
	OF(owner, unlocked_bytes),
};

static const size_t owners_numbers[] = {
	OF(owners, in_doubt_bytes), OF(owners, table_bytes),
	OF(owners, scanned_bytes),  OF(owners, live_chunks),
	OF(owners, live_bytes),	    OF(owners, asked_chunks),
	OF(owners, asked_bytes),    OF(owners, sampled_chunks),
	OF(owners, rooted_chunks),  OF(owners, rooted_bytes),
	OF(owners, usual),	    OF(owners, interior_chunks),
	OF(owners, unsure_chunks),  OF(owners, read_ns),
	OF(owners, pinned_bytes),
};

#undef OF

enum {
	STEP_NUMBERS = sizeof(step_numbers) / sizeof(step_numbers[0]),
	OWNER_NUMBERS = sizeof(owner_numbers) / sizeof(owner_numbers[0]),
	OWNERS_NUMBERS = sizeof(owners_numbers) / sizeof(owners_numbers[0]),
};

static void put_numbers(struct output *out, const void *from, const size_t *offset,
			unsigned count)
{
	uint64_t value;

	for (unsigned i = 0; i < count; i++) {
		memcpy(&value, (const char *)from + offset[i], sizeof(value));
		put(out, value);
	}
}

static void get_numbers(struct varint_input *in, void *into, const size_t *offset,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t value = varint_get(in);

		memcpy((char *)into + offset[i], &value, sizeof(value));
	}
}

static void put_step(struct output *out, const struct owner_step *step)
{
	put_numbers(out, step, step_numbers, STEP_NUMBERS);
	put(out, (unsigned)step->is_array << 1 | step->is_linked);
	put_text(out, step->type);
}

static void get_step(struct varint_input *in, struct owner_step *step)
{
	unsigned flags;

	get_numbers(in, step, step_numbers, STEP_NUMBERS);
	flags = get_below(in, 4);
	step->is_array = flags >> 1;
	step->is_linked = flags & 1;
	get_text(in, step->type, sizeof(step->type));
}

static void put_owner(struct output *out, const struct owner *owner)
{
	const double shares[] = {owner->share, owner->share_low, owner->share_high};

	put(out, owner->root);
	put_text(out, owner->name);
	put_text(out, owner->where);
	put_text(out, owner->type);
	put_text(out, owner->identity);
	put(out, owner->is_interior);
	put_numbers(out, owner, owner_numbers, OWNER_NUMBERS);
	put_bytes(out, shares, sizeof(shares));
	put(out, owner->steps_left_out);
	put(out, owner->step_count);
	for (unsigned i = 0; i < owner->step_count; i++)
		put_step(out, &owner->step[i]);
}

static void get_owner(struct varint_input *in, struct owner *owner)
{
	double shares[3] = {0};

	owner->root = get_below(in, OWNER_ROOTS);
	get_text(in, owner->name, sizeof(owner->name));
	get_text(in, owner->where, sizeof(owner->where));
	get_text(in, owner->type, sizeof(owner->type));
	get_text(in, owner->identity, sizeof(owner->identity));
	owner->is_interior = get_below(in, 2);
	get_numbers(in, owner, owner_numbers, OWNER_NUMBERS);
	get_bytes(in, shares, sizeof(shares));
	owner->share = shares[0];
	owner->share_low = shares[1];
	owner->share_high = shares[2];
	owner->steps_left_out = get_u32(in);
	owner->step_count = get_below(in, OWNER_STEPS + 1);
	for (unsigned i = 0; i < owner->step_count && !in->bad; i++)
		get_step(in, &owner->step[i]);
}

size_t look_owners_write(const struct owners *owners, unsigned char *buf, size_t capacity)
{
	struct output out = {buf, buf + capacity, false};

	put(&out, owners->status);
	put_text(&out, owners->missing);
	put_numbers(&out, owners, owners_numbers, OWNERS_NUMBERS);
	put(&out, owners->left_out);
	put(&out, owners->count);
	for (unsigned i = 0; i < owners->count; i++)
		put_owner(&out, &owners->owner[i]);
	return length_of(&out, buf);
}

int look_owners_read(const unsigned char *data, size_t length, struct owners *owners)
{
	struct varint_input in = {data, data + length, false};

	*owners = (struct owners){0};
	owners->status = get_below(&in, STATUS_ESTIMATED + 1);
	get_text(&in, owners->missing, sizeof(owners->missing));
	get_numbers(&in, owners, owners_numbers, OWNERS_NUMBERS);
	owners->left_out = get_u32(&in);
	owners->count = get_below(&in, OWNERS_MAX + 1);
	for (unsigned i = 0; i < owners->count && !in.bad; i++)
		get_owner(&in, &owners->owner[i]);
	if (in.bad)
		owners->count = 0;
	return outcome(&in);
}
