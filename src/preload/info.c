#include "preload/info.h"

#include "preload/allocator_ops.h"
#include "preload/strings.h"

enum { FLAG_BITS = 7 };

/* The figures that the arenas add to those of the process. */
static const enum ring_figure summed[] = {
	RING_SYSTEM_BYTES, RING_FREE_BYTES,  RING_FREE_CHUNKS,
	RING_TOP_BYTES,	   RING_FAST_CHUNKS, RING_FAST_BYTES,
};

static const enum ring_figure highest[] = {
	RING_LARGEST_FREE_BYTES,
	RING_LARGEST_HOLE_BYTES,
};

enum {
	SUMMED = sizeof(summed) / sizeof(summed[0]),
	HIGHEST = sizeof(highest) / sizeof(highest[0]),
};

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t bit(enum ring_figure figure)
{
	return UINT64_C(1) << figure;
}

static bool number(const char *line, const char *attribute, uint64_t *value)
{
	const char *digit = words_after(line, attribute);

	*value = 0;
	return digit && *digit != ' ' && words_number(&digit, value) && *digit == '"';
}

/* ---- one arena ---- */

/* REST counts the top as one chunk more than the bins have, of a size without a flag. */
static bool make_row(const struct info_arena *arena, struct ring_arena *row)
{
	uint64_t top_bytes = arena->rest_raw_bytes - arena->binned_raw_bytes;
	uint64_t binned_bytes = arena->binned_raw_bytes - arena->binned_chunks;

	if (arena->rest_chunks != arena->binned_chunks + 1 ||
	    arena->rest_raw_bytes < arena->binned_raw_bytes ||
	    arena->binned_raw_bytes < arena->binned_chunks)
		return false;
	*row = (struct ring_arena){.index = (uint32_t)arena->index};
	arena_put(row, RING_SYSTEM_BYTES, arena->system_bytes);
	arena_put(row, RING_FREE_BYTES, binned_bytes + arena->fast_bytes + top_bytes);
	arena_put(row, RING_FREE_CHUNKS, arena->binned_chunks + arena->fast_chunks);
	arena_put(row, RING_LARGEST_FREE_BYTES, most(arena->hole_bytes, top_bytes));
	arena_put(row, RING_LARGEST_HOLE_BYTES, arena->hole_bytes);
	arena_put(row, RING_TOP_BYTES, top_bytes);
	arena_put(row, RING_FAST_CHUNKS, arena->fast_chunks);
	arena_put(row, RING_FAST_BYTES, arena->fast_bytes);
	return true;
}

static void add_row(struct ring_sample *sample, const struct ring_arena *row)
{
	for (unsigned i = 0; i < SUMMED; i++)
		sample->value[summed[i]] += row->value[summed[i]];
	for (unsigned i = 0; i < HIGHEST; i++)
		sample->value[highest[i]] =
			most(sample->value[highest[i]], row->value[highest[i]]);
}

static void end_arena(struct info *info)
{
	struct ring_sample *sample = info->sample;
	struct ring_arena row;

	info->inside = false;
	info->arenas++;
	if (!make_row(&info->arena, &row)) {
		info->broken = true;
		return;
	}
	add_row(sample, &row);
	if (sample->arenas_filled < RING_ARENAS)
		sample->arena[sample->arenas_filled++] = row;
}

/* ---- lines ---- */

static void heap_line(struct info *info, const char *line)
{
	info->arena = (struct info_arena){0};
	info->inside = number(line, "nr=\"", &info->arena.index);
	info->broken |= !info->inside;
}

/* A bin, or a fastbin, whose sizes have no flag and whose sums come in a line of their
 * own. Both are holes. */
static void bin_line(struct info *info, const char *line)
{
	struct info_arena *arena = &info->arena;
	uint64_t to, total, count;

	if (!number(line, "to=\"", &to) || !number(line, "total=\"", &total) ||
	    !number(line, "count=\"", &count)) {
		info->broken = true;
		return;
	}
	if (!count)
		return;
	arena->hole_bytes = most(arena->hole_bytes, to & ~(uint64_t)FLAG_BITS);
	if (to & 1) {
		arena->binned_raw_bytes += total;
		arena->binned_chunks += count;
	}
}

static void fast_line(struct info *info, const char *line)
{
	info->broken |= !number(line, "count=\"", &info->arena.fast_chunks) ||
			!number(line, "size=\"", &info->arena.fast_bytes);
}

static void rest_line(struct info *info, const char *line)
{
	info->broken |= !number(line, "count=\"", &info->arena.rest_chunks) ||
			!number(line, "size=\"", &info->arena.rest_raw_bytes);
}

static void system_line(struct info *info, const char *line)
{
	info->broken |= !number(line, "size=\"", &info->arena.system_bytes);
}

static void heap_end_line(struct info *info, const char *line)
{
	(void)line;
	end_arena(info);
}

static void end_line(struct info *info, const char *line)
{
	(void)line;
	info->ended = true;
}

/* What a line is known by, and whether it belongs into an arena. After the arenas the
 * same lines come again for their sums, which are not needed. */
static const struct {
	const char *mark;
	bool inside;
	void (*take)(struct info *info, const char *line);
} lines[] = {
	{"<heap ", false, heap_line},
	{"<size ", true, bin_line},
	{"<unsorted ", true, bin_line},
	{"<total type=\"fast\"", true, fast_line},
	{"<total type=\"rest\"", true, rest_line},
	{"<system type=\"current\"", true, system_line},
	{"</heap>", true, heap_end_line},
	{"</malloc>", false, end_line},
};

static void take_line(struct info *info)
{
	info->line[info->length] = '\0';
	info->length = 0;
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (lines[i].inside == info->inside &&
		    words_after(info->line, lines[i].mark))
			lines[i].take(info, info->line);
}

/* ---- the whole ---- */

void info_begin(struct info *info, struct ring_sample *sample)
{
	info->sample = sample;
	info->arenas = 0;
	info->length = 0;
	info->inside = info->ended = info->broken = false;
	sample->arenas_filled = 0;
	for (unsigned i = 0; i < SUMMED; i++)
		sample->value[summed[i]] = 0;
	for (unsigned i = 0; i < HIGHEST; i++)
		sample->value[highest[i]] = 0;
}

void info_feed(struct info *info, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] == '\n')
			take_line(info);
		else if (info->length < INFO_LINE - 1)
			info->line[info->length++] = text[i];
		else
			info->broken = true;
	}
}

bool info_end(struct info *info)
{
	struct ring_sample *sample = info->sample;

	if (info->length)
		take_line(info);
	if (!info->ended || info->broken || info->inside || !info->arenas) {
		sample->arenas_filled = 0;
		return false;
	}
	for (unsigned i = 0; i < SUMMED; i++)
		sample->have |= bit(summed[i]);
	for (unsigned i = 0; i < HIGHEST; i++)
		sample->have |= bit(highest[i]);
	sample->value[RING_ARENA_COUNT] = info->arenas;
	sample->have |= bit(RING_ARENA_COUNT);
	return true;
}
