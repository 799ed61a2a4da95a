/* test_screen.c: every pane to the letter, at the sizes and charsets that matter, against
 * tests/golden; with UPDATE_GOLDEN=1 in the environment these are written anew. */
#include "analysis/verdict.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "source/replay.h"
#include "top/actions.h"
#include "tui/frame.h"
#include "tui/svg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	CELLS = 300 * 100,
	TEXT_BYTES = 1 << 20,
	ARENAS = 9,
	READINGS = 240,
};

#define NS_PER_S INT64_C(1000000000)
#define NOW_NS	 (INT64_C(1763719992) * NS_PER_S)

static struct canvas *canvas;
static char *drawn, *wanted;
static struct sample *sample;
static struct history *history;
static struct screen_trend trend[FIG_COUNT];
static unsigned order[ARENAS];
static struct screen screen;

/* ---- a process whose heap breaks up ---- */

static void bin_of(struct bin_total *bin, uint64_t from, uint64_t to, uint64_t count)
{
	*bin = (struct bin_total){from, to, (from + to) / 2 * count, count};
}

static void fill_bins(struct arena_bins *bins, unsigned arena)
{
	bins->split = true;
	bin_of(&bins->fast[0], 32, 32, 40 + arena);
	bin_of(&bins->fast[2], 64, 64, 12);
	bin_of(&bins->bins[0], 64, 4096, 30);
	for (unsigned i = 1; i < 40; i++)
		bin_of(&bins->bins[i], 32 + 16 * i, 32 + 16 * i, 4000 / (i + arena));
	for (unsigned i = 0; i < 20; i++)
		bin_of(&bins->bins[70 + i], 1024 + 512 * i, 1024 + 512 * i + 256,
		       300 / (i + 1));
	if (!arena)
		bin_of(&bins->bins[100], 65536, 91443, 3);
}

static void fill_arena(struct arena_row *row, unsigned i)
{
	struct figures *fig = &row->fig;
	uint64_t part = 1 + ARENAS - i;

	row->index = i;
	row->addr = i ? UINT64_C(0x7f2190000030) + (uint64_t)i * 0x4000000
		      : UINT64_C(0x7f21a2c61c60);
	figure_set(fig, FIG_SYSTEM_BYTES, part * 22000000);
	figure_set(fig, FIG_LIVE_BYTES, part * 11000000);
	figure_set(fig, FIG_FREE_BYTES, part * 11000000);
	figure_set(fig, FIG_FREE_RESIDENT_BYTES, part * 10000000);
	figure_set(fig, FIG_TRIMMABLE_BYTES, i ? 0 : 3879731);
	figure_set(fig, FIG_PINNED_BYTES, part * 9000000);
	figure_set(fig, FIG_RETAINED_BYTES, part * 1000000 - (i ? 0 : 3879731));
	figure_set(fig, FIG_FREE_CHUNKS, part * 13369);
	figure_set(fig, FIG_LARGEST_FREE_BYTES, 91443 - i * 4096);
	figure_set(fig, FIG_TOP_BYTES, 40000);
	figures_derive(fig);
	figure_set(fig, FIG_ATTACHED_THREADS, i % 3);
	if (row->bins)
		fill_bins(row->bins, i);
}

/* Second T of READINGS. */
static void fill_sample(struct sample *into, unsigned t)
{
	struct figures *fig = &into->fig;
	uint64_t wave = t % 40 < 20 ? t % 20 : 20 - t % 20;

	sample_clear(into);
	into->time_ns = NOW_NS - (READINGS - 1 - (int64_t)t) * NS_PER_S;
	into->pid = 29439;
	strcpy(into->comm, "sessiond");
	strcpy(into->allocator, "glibc-2.36");
	figure_set(fig, FIG_RSS_BYTES, UINT64_C(880000000) + t * 780000);
	figure_set(fig, FIG_LIVE_RESIDENT_BYTES, 523239424);
	figure_set(fig, FIG_TRIMMABLE_BYTES, 3879731);
	figure_set(fig, FIG_PINNED_BYTES, 333000000 + t * 780000);
	figure_set(fig, FIG_RETAINED_BYTES, 1048576);
	figure_set(fig, FIG_MMAPPED_RESIDENT_BYTES, 41943040);
	figure_set(fig, FIG_ALLOCATOR_RESIDENT_BYTES, 20480);
	figure_set(fig, FIG_OTHER_RESIDENT_BYTES, 18664653);
	figure_set(fig, FIG_SWAP_BYTES, 0);
	figure_set(fig, FIG_MAPPINGS, 143);
	figure_set(fig, FIG_SYSTEM_BYTES, 1050000000);
	figure_set(fig, FIG_LIVE_BYTES, 523239424 + wave * 100000);
	figure_set(fig, FIG_FREE_BYTES, 524288000 + t * 400000);
	figure_set(fig, FIG_FREE_RESIDENT_BYTES, 337928307 + t * 780000);
	figure_set(fig, FIG_FREE_CHUNKS, 200000 + (uint64_t)t * 1677);
	figure_set(fig, FIG_LARGEST_FREE_BYTES, 60000000 / (t + 1) + 91443);
	figure_set(fig, FIG_LARGEST_HOLE_BYTES, 65536);
	figure_set(fig, FIG_TOP_BYTES, 135168);
	figure_set(fig, FIG_TCACHE_BYTES, 1310720);
	figure_set(fig, FIG_ARENAS, ARENAS);
	figure_set_ratio(fig, FIG_FRAG, 0.9998);
	figure_set_ratio(fig, FIG_SLACK, 1.95);
	figure_set(fig, FIG_READ_NS, 41234567);
	into->arena_count = ARENAS;
	for (unsigned i = 0; i < ARENAS; i++)
		fill_arena(&into->arena[i], i);
}

static void fill_history(void)
{
	const struct history_options options = {.budget_bytes = 8 << 20,
						.arenas = ARENAS};

	assert_int_equal(history_new(&history, &options), 0);
	for (unsigned t = 0; t < READINGS; t++) {
		fill_sample(sample, t);
		if (t >= 100 && t < 120)
			history_gap(history, sample->time_ns);
		else
			assert_int_equal(history_add(history, sample), 0);
		if (t % 30 == 7)
			history_mark(history, sample->time_ns, MARK_GROWTH, 135168);
	}
	history_mark(history, NOW_NS - 70 * NS_PER_S, MARK_FAILURE, 1 << 30);
	history_mark(history, NOW_NS - 30 * NS_PER_S, MARK_ALERT, 0);
}

static void fill_trends(void)
{
	trend[FIG_RSS_BYTES] = (struct screen_trend){true, true, false, 780000};
	trend[FIG_FREE_CHUNKS] = (struct screen_trend){true, true, false, 1677};
	trend[FIG_LARGEST_FREE_BYTES] = (struct screen_trend){true, false, true, -350};
	trend[FIG_LIVE_BYTES] = (struct screen_trend){.known = true};
	trend[FIG_FREE_RESIDENT_BYTES] = (struct screen_trend){true, true, false, 780000};
}

static const struct screen_target targets[] = {
	{.pid = 29439, .comm = "sessiond"},
	{.pid = 311, .comm = "postgres"},
};

static int group_setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	drawn = malloc(TEXT_BYTES);
	wanted = malloc(TEXT_BYTES);
	sample = sample_new(ARENAS, true);
	if (!drawn || !wanted || !sample || canvas_new(&canvas, CELLS))
		return -1;
	fill_history();
	fill_trends();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	history_free(history);
	sample_free(sample);
	canvas_free(canvas);
	free(wanted);
	free(drawn);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	fill_sample(sample, READINGS - 1);
	screen = (struct screen){
		.palette = PALETTE_256,
		.actions = &top_actions,
		.target = targets,
		.target_count = 1,
		.sample = sample,
		.history = history,
		.trend = trend,
		.now_ns = NOW_NS,
		.zoom_ns = 240 * NS_PER_S,
		.arenas = {.sort = ARENA_LIVE, .filter = "", .order = order},
		.sizes_arena = -1,
		.events = {.filter = "", .missing = "built without eBPF"},
		.facts = {.has_own_cpu = true,
			  .own_cpu = 0.042,
			  .interval_ns = NS_PER_S,
			  .source = "process 29439 (sessiond), glibc-2.36, source heap, "
				    "residency by PAGEMAP_SCAN, 1 reader"},
	};
	screen.arenas.count = arenas_order(sample, &screen.arenas, order);
	canvas->ascii = false;
	return 0;
}

/* ---- golden files ---- */

static void golden_path(char *path, size_t size, const char *name)
{
	const char *tree = getenv("FRAGSCOPE_SRCDIR");

	snprintf(path, size, "%s/tests/golden/%s", tree ? tree : ".", name);
}

static void write_golden(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(drawn, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void read_golden(const char *path)
{
	FILE *file = fopen(path, "r");
	size_t length;

	assert_non_null(file);
	length = fread(wanted, 1, TEXT_BYTES - 1, file);
	wanted[length] = '\0';
	fclose(file);
}

/* Tells the first line that differs. */
static void compare(const char *name)
{
	const char *a = wanted, *b = drawn;

	for (unsigned line = 1; *a || *b; line++) {
		int of_a = (int)strcspn(a, "\n"), of_b = (int)strcspn(b, "\n");

		if (of_a != of_b || strncmp(a, b, (size_t)of_a))
			fail_msg("%s, line %u\nwanted: %.*s\ngot:    %.*s", name, line,
				 of_a, a, of_b, b);
		a += of_a + (a[of_a] == '\n');
		b += of_b + (b[of_b] == '\n');
	}
}

/* DRAWN must be what tests/golden/NAME has. */
static void assert_drawn(const char *name)
{
	char path[512];

	golden_path(path, sizeof(path), name);
	if (getenv("UPDATE_GOLDEN"))
		write_golden(path);
	read_golden(path);
	compare(name);
}

/* The keys at the bottom have a table, and a test, of their own. */
static void clear_keys(void)
{
	unsigned last = canvas->rows - 1;
	struct area row = area_of(canvas, &(struct rect){last, 0, 1, canvas->columns});

	if (canvas_at(canvas, last, 0)->spot == SPOT_KEY)
		area_clear(&row);
}

/* Draws SCREEN and compares it with tests/golden/NAME.txt: characters, then inks. */
static void assert_golden(const char *name, unsigned columns, unsigned rows)
{
	struct text text;
	char file[64];

	canvas_resize(canvas, rows, columns);
	screen_draw(canvas, &screen);
	clear_keys();
	text_init(&text, drawn, TEXT_BYTES);
	canvas_text(canvas, &text);
	text_string(&text, "---- inks\n");
	canvas_inks(canvas, &text);
	assert_false(text.overflow);
	snprintf(file, sizeof(file), "%s.txt", name);
	assert_drawn(file);
}

/* ---- the panes ---- */

static void overview(void **state)
{
	(void)state;
	assert_golden("overview-80x24", 80, 24);
	assert_golden("overview-120x40", 120, 40);
	assert_golden("overview-40x10", 40, 10);
	assert_golden("overview-20x5", 20, 5);
	assert_golden("overview-200x20", 200, 20);
	figure_set(&sample->fig, FIG_ANON_HUGE_BYTES, 0);
	assert_golden("overview-80x24", 80, 24);
	figure_set(&sample->fig, FIG_ANON_HUGE_BYTES, 268435456);
	assert_golden("overview-huge-120x40", 120, 40);
	screen.is_log = true;
	assert_golden("overview-log-80x24", 80, 24);
	screen.is_log = false;
	figure_drop(&sample->fig, FIG_ANON_HUGE_BYTES);
	canvas->ascii = true;
	screen.palette = PALETTE_MONO;
	assert_golden("overview-80x24-ascii", 80, 24);
	canvas->ascii = false;
	assert_golden("overview-80x24-mono", 80, 24);
}

static void arenas(void **state)
{
	(void)state;
	screen.pane = PANE_ARENAS;
	assert_golden("arenas-80x24", 80, 24);
	assert_golden("arenas-120x40", 120, 40);
	screen.arenas.sort = ARENA_LARGEST;
	screen.arenas.ascending = true;
	screen.arenas.filter = "7f2";
	screen.arenas.selected = 4;
	screen.arenas.count = arenas_order(sample, &screen.arenas, order);
	assert_golden("arenas-40x10", 40, 10);
}

static void sizes(void **state)
{
	(void)state;
	screen.pane = PANE_SIZES;
	assert_golden("sizes-80x24", 80, 24);
	assert_golden("sizes-120x40", 120, 40);
	assert_golden("sizes-40x10", 40, 10);
	screen.sizes_arena = 0;
	screen.palette = PALETTE_MONO;
	canvas->ascii = true;
	assert_golden("sizes-60x30-ascii", 60, 30);
	sample->arena[3].bins->split = false;
	screen.sizes_arena = -1;
	assert_golden("sizes-part-80x24", 80, 24);
	screen.sizes_arena = 3;
	assert_golden("sizes-none-80x24", 80, 24);
	sample->source = SOURCE_PRELOAD;
	assert_golden("sizes-elsewhere-80x24", 80, 24);
}

/* An arena that is live at first, in crumbs behind that, with a hole and a top. */
static struct heap_map *made_map(void)
{
	struct heap_map *map = heap_map_new(400, 4);

	assert_non_null(map);
	map->cell_count = 400;
	map->cell_bytes = 16384;
	map->arena_from = UINT64_C(0x55d3a4c00000);
	for (unsigned i = 0; i < 400; i++) {
		struct map_cell *cell = &map->cell[i];
		enum map_kind kind = i < 60	   ? MAP_LIVE
				     : i >= 385	   ? MAP_RETURNED
				     : i >= 350	   ? MAP_TRIMMABLE
				     : i % 3 == 0  ? MAP_PINNED
				     : i % 7 == 0  ? MAP_CACHED
				     : i % 41 == 0 ? MAP_RETURNED
						   : MAP_LIVE;

		cell->from = map->arena_from + (uint64_t)i * 16384;
		cell->to = cell->from + 16384;
		cell->bytes[kind] = 16000;
		cell->bytes[MAP_LIVE] += 384;
		cell->resident_bytes = kind == MAP_RETURNED ? 4096 : 16384;
		cell->live_chunks = i % 13;
		cell->free_chunks = kind == MAP_PINNED ? 5 : 0;
		cell->largest_free_bytes = kind == MAP_PINNED ? 4816 : 0;
		cell->top_bytes = i >= 380 ? 16000 : 0;
		cell->fingerprint = i;
		for (unsigned k = 0; k < MAP_KINDS; k++)
			map->total.bytes[k] += cell->bytes[k];
		map->total.top_bytes += cell->top_bytes;
	}
	map->arena_to = map->cell[399].to;
	map->total.from = map->arena_from;
	map->total.to = map->arena_to;
	return map;
}

static void add_chunks(struct heap_map *map)
{
	const uint64_t from = map->cell[63].from;

	map->chunk[0] = (struct map_chunk){from - 64, 1024, 1024, 0, MAP_CHUNK_LIVE};
	map->chunk[1] = (struct map_chunk){from + 960, 4816, 4816, 0, MAP_CHUNK_FREE};
	map->chunk[2] = (struct map_chunk){from + 5776, 48, 48, 0, MAP_CHUNK_CACHED};
	map->chunk[3] = (struct map_chunk){from + 5824, 10560, 0, 0, MAP_CHUNK_FREE};
	map->chunk_count = 4;
	map->has_chunks = true;
}

static void heap_map(void **state)
{
	struct heap_map *map = made_map(), *before = made_map();
	static struct blockers blockers;

	(void)state;
	blockers.best_count = 1;
	blockers.best[0] = (struct blocker){.addr = map->cell[63].from + 64,
					    .bytes = 48,
					    .chunks = 1,
					    .unlocked_bytes = 4096};
	screen.pane = PANE_MAP;
	assert_golden("map-none-80x24", 80, 24);
	screen.map.why = "source proc does not read the heap";
	assert_golden("map-why-80x24", 80, 24);
	screen.map = (struct screen_map){.map = map, .cursor = 63};
	screen.blockers = &blockers;
	assert_golden("map-80x24", 80, 24);
	assert_golden("map-40x10", 40, 10);
	add_chunks(map);
	assert_golden("map-120x40", 120, 40);
	before->cell[100].fingerprint = 0;
	before->cell[350].bytes[MAP_LIVE]++;
	screen.map.before = before;
	screen.map.show_changed = true;
	screen.palette = PALETTE_MONO;
	canvas->ascii = true;
	assert_golden("map-80x24-ascii", 80, 24);
	heap_map_free(before);
	heap_map_free(map);
}

static void events(void **state)
{
	static const struct screen_event list[] = {
		{NOW_NS - 1, MARK_FAILURE,
		 "malloc got nothing for a request of 1.00G (exact): RLIMIT_AS", NULL},
		{NOW_NS - 8 * NS_PER_S, MARK_GROWTH,
		 "brk +132K for a request of 4.94K (exact)",
		 "arena 0x7fdc70661c60: top 3.88K, system 932K\n"
		 "#2  0x52b9e0       main+0x1f in sessiond\n"
		 "#1  0x7fdc70527841 malloc+0x161 in libc.so.6\n"},
		{NOW_NS - 9 * NS_PER_S, MARK_GROWTH, "brk +132K for a request of 4.94K",
		 "arena 0x7fdc70661c60: top 3.88K, system 932K\n"
		 "at 09:05:52 (last reading): 135K free in 49 chunks, largest 121K\n"
		 "#12 main\n#11 a\n#10 b\n#9  c\n#8  d\n#7  e\n#6  f\n#5  g\n#4  h\n#3  "
		 "i\n"
		 "#2  calloc\n#1  _int_malloc\n#0  brk\n"},
	};

	(void)state;
	screen.pane = PANE_EVENTS;
	assert_golden("events-none-80x24", 80, 24);
	screen.events.event = list;
	screen.events.count = 2;
	screen.events.missing = NULL;
	screen.events.selected = 1;
	assert_golden("events-80x24", 80, 24);
	assert_golden("events-160x30", 160, 30);
	screen.events.selected = 2;
	screen.events.count = 3;
	assert_golden("events-stack-80x24", 80, 24);
}

/* Side by side, whatever one of them lacks. */
static void processes(void **state)
{
	static const char *const names[] = {"sessiond", "postgres", "b", "a"};
	struct screen_target list[4];
	struct sample *other = sample_new(0, false);
	unsigned process_order[4];

	(void)state;
	assert_non_null(other);
	other->status = STATUS_TORN;
	figure_set(&other->fig, FIG_RSS_BYTES, 12 << 20);
	for (unsigned i = 0; i < 4; i++)
		list[i] = (struct screen_target){.pid = 100 - (int)i, .comm = names[i]};
	list[0].sample = sample;
	list[0].since = list[1].sample = list[2].sample = other;
	list[2].ended = true;
	screen.pane = PANE_PROCESSES;
	screen.target = list;
	screen.target_count = 4;
	screen.target_shown = 1;
	screen.processes = (struct screen_processes){
		.sort = PROCESSES_RSS, .filter = "", .order = process_order};
	screen.processes.count =
		processes_order(&screen, &screen.processes, process_order);
	assert_golden("processes-80x24", 80, 24);
	assert_golden("processes-40x10", 40, 10);
	screen.processes.sort = PROCESSES_COMM;
	screen.processes.ascending = true;
	assert_int_equal(processes_order(&screen, &screen.processes, process_order), 4);
	assert_int_equal(process_order[0], 3);
	assert_int_equal(process_order[3], 0);
	screen.processes.filter = "9";
	assert_int_equal(processes_order(&screen, &screen.processes, process_order), 3);
	screen.processes.filter = "post";
	assert_int_equal(processes_order(&screen, &screen.processes, process_order), 1);
	sample_free(other);
}

static void picker(void **state)
{
	static struct screen_candidate list[] = {
		{.pid = 29439, .comm = "sessiond", .allocator = "glibc-2.36"},
		{.pid = 311, .comm = "postgres", .allocator = "glibc-2.36"},
		{.pid = 1,
		 .comm = "evil\x1b[2J\n",
		 .allocator = "",
		 .why_not = "not permitted"},
	};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		figure_set(&list[i].fig, FIG_RSS_BYTES, 1066795008 >> 2 * i);
		figure_set(&list[i].fig, FIG_FREE_RESIDENT_BYTES, 524288000 >> 2 * i);
		figure_set_ratio(&list[i].fig, FIG_FRAG, 0.75);
	}
	screen.picking = true;
	screen.picker = (struct screen_picker){list, 3, 1, 5, true, CANDIDATE_RSS, false};
	screen.prompt = "filter: ";
	screen.typed = "s";
	assert_golden("picker-80x24", 80, 24);
	screen.picker = (struct screen_picker){.searching = false};
	assert_golden("picker-none-40x10", 40, 10);
}

static void draw(unsigned columns, unsigned rows)
{
	struct text text;

	canvas_resize(canvas, rows, columns);
	screen_draw(canvas, &screen);
	text_init(&text, drawn, TEXT_BYTES);
	canvas_text(canvas, &text);
	assert_false(text.overflow);
}

static void help_tells_of_every_key(void **state)
{
	(void)state;
	screen.help = true;
	for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
		screen.pane = pane;
		draw(300, 100);
		for (size_t i = 0; i < top_actions.count; i++) {
			char words[16] = "";

			if (!action_is_shown(&top_actions.action[i], PLACE(pane)))
				continue;
			/* The line may be broken behind them. */
			strncat(words, top_actions.action[i].help, 12);
			assert_non_null(strstr(drawn, words));
		}
		draw(40, 10);
		assert_non_null(strstr(drawn, "more in a larger window"));
	}
}

static void footer_has_the_keys_in_their_order(void **state)
{
	(void)state;
	for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
		uint32_t last = 0;

		screen.pane = pane;
		draw(300, 24);
		for (size_t i = 0; i < top_actions.count; i++) {
			const struct action *action = &top_actions.action[i];

			if (action->label && action->places & PLACE(pane))
				assert_non_null(strstr(drawn, action->label));
		}
		for (unsigned column = 0; column < 300; column++) {
			const struct cell *cell = canvas_at(canvas, 23, column);

			if (cell->spot != SPOT_KEY)
				continue;
			assert_true(cell->index >= last);
			last = cell->index;
		}
	}
}

static void popups(void **state)
{
	(void)state;
	screen.popup_title = "Trim, dry run";
	screen.popup = "malloc_trim(0) would give back 3.70M of 1017M resident now.\n"
		       "Nothing was touched.";
	assert_golden("popup-80x24", 80, 24);
}

/* What lies under the mouse is what is drawn there. */
static void spots(void **state)
{
	bool seen[PANE_COUNT] = {false};

	(void)state;
	draw(80, 24);
	for (unsigned column = 0; column < 80; column++)
		if (canvas_at(canvas, 1, column)->spot == SPOT_TAB)
			seen[canvas_at(canvas, 1, column)->index] = true;
	for (unsigned pane = 0; pane < PANE_COUNT; pane++)
		assert_true(seen[pane]);
	assert_int_equal(canvas_at(canvas, 11, 6)->spot, SPOT_INSTANT);
	assert_true(canvas_at(canvas, 11, 6)->index < 50);
	assert_true(canvas_at(canvas, 11, 38)->index > 950);
	screen.pane = PANE_ARENAS;
	draw(80, 24);
	assert_int_equal(canvas_at(canvas, 3, 10)->spot, SPOT_HEADING);
	assert_int_equal(canvas_at(canvas, 3, 10)->index, ARENA_LIVE);
	assert_int_equal(canvas_at(canvas, 6, 40)->spot, SPOT_ROW);
	assert_int_equal(canvas_at(canvas, 6, 40)->index, 2);
}

/* ---- the order of the arenas ---- */

static void arenas_are_sorted(void **state)
{
	struct screen_arenas *arenas = &screen.arenas;

	(void)state;
	for (unsigned column = 0; column < ARENA_COLUMNS; column++) {
		bool seen[ARENAS] = {false};

		arenas->sort = column;
		arenas->ascending = column % 2;
		assert_int_equal(arenas_order(sample, arenas, order), ARENAS);
		for (unsigned i = 0; i < ARENAS; i++) {
			assert_false(seen[order[i]]);
			seen[order[i]] = true;
		}
	}
	arenas->sort = ARENA_LIVE;
	arenas->ascending = true;
	arenas_order(sample, arenas, order);
	for (unsigned i = 0; i < ARENAS; i++)
		assert_int_equal(order[i], ARENAS - 1 - i);
}

/* What an arena does not have is neither the least nor the most. */
static void arenas_without_the_figure_come_last(void **state)
{
	struct screen_arenas *arenas = &screen.arenas;

	(void)state;
	figure_drop(&sample->arena[3].fig, FIG_LIVE_BYTES);
	for (unsigned ascending = 0; ascending < 2; ascending++) {
		arenas->ascending = ascending;
		assert_int_equal(arenas_order(sample, arenas, order), ARENAS);
		assert_int_equal(order[ARENAS - 1], 3);
	}
}

static void arenas_are_filtered(void **state)
{
	static const struct {
		const char *filter;
		unsigned count;
	} cases[] = {
		{"", ARENAS},	  {"#3", 1}, {"0x7f219c", 1},
		{"7f21", ARENAS}, {"zz", 0}, {"#", ARENAS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		screen.arenas.filter = cases[i].filter;
		screen.arenas.count = arenas_order(sample, &screen.arenas, order);
		assert_int_equal(screen.arenas.count, cases[i].count);
	}
}

static void states_of_the_frame(void **state)
{
	(void)state;
	screen.sample = NULL;
	screen.history = NULL;
	assert_golden("no-sample-80x24", 80, 24);
	setup(NULL);
	screen.paused_ns = NOW_NS - 150 * NS_PER_S;
	screen.target_count = 2;
	screen.message = "screen written to fragscope-29439.txt";
	assert_golden("paused-80x24", 80, 24);
	screen.paused_ns = 0;
	screen.message = NULL;
	screen.ended = "process 29439 ended: killed by signal 9";
	sample->status = STATUS_TORN;
	figure_set(&sample->fig, FIG_IN_DOUBT_BYTES, 1310720);
	assert_golden("ended-80x24", 80, 24);
	assert_golden("ended-40x10", 40, 10);
}

/* A source that tells the process's figures only. */
static void a_source_without_the_heap(void **state)
{
	uint64_t rss = sample->fig.v[FIG_RSS_BYTES].u;

	(void)state;
	figures_clear(&sample->fig);
	figure_set(&sample->fig, FIG_RSS_BYTES, rss);
	figure_set(&sample->fig, FIG_PSS_BYTES, rss / 2);
	figure_set(&sample->fig, FIG_MAPPINGS, 143);
	figure_set(&sample->fig, FIG_SWAP_BYTES, 0);
	sample->source = SOURCE_PROC;
	sample->arena_count = 0;
	*sample->allocator = '\0';
	assert_golden("proc-80x24", 80, 24);
	screen.pane = PANE_ARENAS;
	assert_golden("proc-arenas-80x24", 80, 24);
}

static void advice(void **state)
{
	static const struct verdict verdicts[] = {
		{.kind = VERDICT_FRAGMENTATION,
		 .severity = SEVERITY_CRITICAL,
		 .headline = "496M of free memory is in crumbs among what is in use",
		 .evidence =
			 "601k free chunks, the largest of 89.3K; 496M of 500M share "
			 "their pages with live chunks, so that no trim returns them.",
		 .remedy = "Allocate what lives long apart from what lives short."},
		{.kind = VERDICT_RETURNED,
		 .severity = SEVERITY_NOTE,
		 .headline = "91.1M of free memory is not resident",
		 .evidence = "It was given back and costs nothing."},
	};

	(void)state;
	screen.pane = PANE_ADVICE;
	assert_golden("advice-unknown-80x24", 80, 24);
	screen.verdict = verdicts;
	screen.answer = "Of 156M resident 74.8M could not be attributed: the heap "
			"changed; of the rest the program holds 40.4M and 40.8M is "
			"free, and no known problem there.";
	assert_golden("advice-none-80x24", 80, 24);
	screen.verdict_count = 2;
	assert_golden("advice-80x24", 80, 24);
	assert_golden("advice-40x10", 40, 10);
	screen.verdict_selected = 1;
	assert_golden("advice-second-40x10", 40, 10);
}

static void graphs_as_svg(void **state)
{
	struct text text;

	(void)state;
	strcpy(sample->comm, "a<b>&\"\x1b");
	text_init(&text, drawn, SVG_BYTES);
	screen_svg(&text, &screen);
	assert_false(text.overflow);
	assert_drawn("graphs.svg");
	strcpy(sample->comm, "a\xef\xbf\xbf"
			     "b");
	text_init(&text, drawn, SVG_BYTES);
	screen_svg(&text, &screen);
	assert_non_null(strstr(drawn, "ab[29439]"));
	screen.sample = NULL;
	screen.history = NULL;
	text_init(&text, drawn, SVG_BYTES);
	screen_svg(&text, &screen);
	assert_false(text.overflow);
}

/* What a terminal shows, as a picture: blocks, dots, frames, grounds and text. */
static void a_screen_as_svg(void **state)
{
	struct text text;

	(void)state;
	strcpy(sample->comm, "a<b>&\"");
	screen.popup_title = "a frame";
	screen.popup = "<&>  two blanks";
	draw(80, 24);
	text_init(&text, drawn, TEXT_BYTES);
	canvas_svg(&text, canvas);
	assert_false(text.overflow);
	assert_true(text.length < canvas_svg_bytes(canvas));
	assert_drawn("screen.svg");
}

/* Estimated readings have a band behind their line. */
static void estimates(void **state)
{
	struct history *own = NULL, *all = history;
	const struct history_options options = {.budget_bytes = 8 << 20,
						.arenas = ARENAS};
	struct text text;

	(void)state;
	assert_int_equal(history_new(&own, &options), 0);
	for (unsigned t = 0; t < READINGS; t += 10) {
		fill_sample(sample, t);
		sample->status = STATUS_ESTIMATED;
		figure_set_range(&sample->fig, FIG_FREE_RESIDENT_BYTES,
				 0.9 * (double)sample->fig.v[FIG_FREE_RESIDENT_BYTES].u,
				 1.2 * (double)sample->fig.v[FIG_FREE_RESIDENT_BYTES].u);
		assert_int_equal(history_add(own, sample), 0);
	}
	screen.history = own;
	screen.arenas.count = 0;
	assert_golden("overview-estimated-80x24", 80, 24);
	text_init(&text, drawn, SVG_BYTES);
	screen_svg(&text, &screen);
	assert_false(text.overflow);
	assert_non_null(strstr(drawn, "opacity=\"0.25\""));
	screen.history = all;
	history_free(own);
}

/* ---- a recording of a real program ---- */

/* Of the recording: all of it as a history, its last sample, and the trends. */
static const struct sample *replayed(struct replay **replay, struct history **recorded)
{
	const struct history_options options = {
		.budget_bytes = 8 << 20, .arenas = ARENAS, .bins = true};
	const char *tree = getenv("FRAGSCOPE_BUILDDIR");
	const struct sample *last;
	struct fault fault;
	char path[512];

	snprintf(path, sizeof(path), "%s/tests/recordings/fragmenter.json",
		 tree ? tree : ".");
	if (replay_open(replay, path, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(history_new(recorded, &options), 0);
	while (!replay_next(*replay, &last, &fault))
		assert_int_equal(history_add(*recorded, last), 0);
	return history_at(*recorded, 0);
}

static void a_recording(void **state)
{
	struct screen_trend trends[FIG_COUNT];
	struct history *recorded;
	struct replay *replay;
	const struct sample *last = replayed(&replay, &recorded);

	(void)state;
	screen.zoom_ns = 30 * NS_PER_S;
	screen.now_ns = last->time_ns;
	screen.sample = last;
	screen.history = recorded;
	screen_trends(recorded, last->time_ns - screen.zoom_ns, last->time_ns, trends);
	screen.trend = trends;
	screen.arenas.since = history_at(recorded, 29);
	screen.arenas.count = arenas_order(last, &screen.arenas, order);
	screen.facts.replay = true;
	screen.facts.speed = 1;
	screen.facts.source = "tests/recordings/fragmenter.json, JSON";
	assert_golden("recorded-overview-80x24", 80, 24);
	assert_golden("recorded-overview-120x40", 120, 40);
	screen.pane = PANE_ARENAS;
	assert_golden("recorded-arenas-80x24", 80, 24);
	screen.pane = PANE_SIZES;
	assert_golden("recorded-sizes-80x24", 80, 24);
	replay_close(replay);
	history_free(recorded);
}

/* ---- whatever there is to show ---- */

static void all_of(const char *what)
{
	for (unsigned rows = 1; rows <= 100; rows += rows < 30 ? 1 : 23)
		for (unsigned columns = 1; columns <= 300;
		     columns += columns < 90 ? 7 : 70)
			for (unsigned pane = 0; pane < PANE_COUNT; pane++) {
				struct text text;

				screen.pane = pane;
				canvas->ascii = (rows + columns) % 2;
				canvas_resize(canvas, rows, columns);
				screen_draw(canvas, &screen);
				text_init(&text, drawn, TEXT_BYTES);
				canvas_text(canvas, &text);
				if (!text.overflow &&
				    canvas_svg_bytes(canvas) < TEXT_BYTES) {
					text_init(&text, drawn, TEXT_BYTES);
					canvas_svg(&text, canvas);
				}
				if (text.overflow || strchr(drawn, '\x1b'))
					fail_msg("%s at %ux%u", what, columns, rows);
			}
}

static void set_all(struct figures *fig, uint64_t value, double ratio)
{
	for (unsigned f = 0; f < FIG_COUNT; f++)
		if (figure_info[f].unit == UNIT_RATIO)
			figure_set_ratio(fig, f, ratio);
		else
			figure_set(fig, f, value);
}

/* Figures that no process has: nothing but their columns may be harmed. */
static void extremes(void **state)
{
	static const uint64_t values[] = {0, 1, UINT64_C(1) << 63, UINT64_MAX,
					  1000000000};

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		set_all(&sample->fig, values[i], i % 2 ? 1e300 : -1);
		for (unsigned j = 0; j < ARENAS; j++) {
			set_all(&sample->arena[j].fig, values[i], 99999.5);
			bin_of(&sample->arena[j].bins->bins[0], 0, values[i], values[i]);
		}
		strcpy(sample->comm, "\x1b[2Jevil\n\xff");
		sample->status = STATUS_PARTIAL;
		memset(sample->missing, 'm', sizeof(sample->missing) - 1);
		all_of("extremes");
	}
	set_all(&sample->fig, UINT64_MAX, 1);
	for (unsigned j = 0; j < ARENAS; j++)
		set_all(&sample->arena[j].fig, UINT64_MAX, 1);
	screen.pane = PANE_ARENAS;
	canvas->ascii = false;
	assert_golden("extreme-arenas-120x40", 120, 40);
	screen.pane = PANE_OVERVIEW;
	assert_golden("extreme-overview-80x24", 80, 24);
}

static void nothing_to_show(void **state)
{
	(void)state;
	screen = (struct screen){0};
	all_of("nothing");
	screen.help = true;
	all_of("help");
	screen.help = false;
	screen.popup =
		"a\n\nword-that-is-longer-than-any-line-of-a-small-terminal-can-be";
	all_of("popup");
	screen.picking = true;
	all_of("picker");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		TEST(overview),
		TEST(arenas),
		TEST(sizes),
		TEST(heap_map),
		TEST(events),
		TEST(processes),
		TEST(picker),
		TEST(advice),
		TEST(help_tells_of_every_key),
		TEST(footer_has_the_keys_in_their_order),
		TEST(popups),
		TEST(spots),
		TEST(arenas_are_sorted),
		TEST(arenas_without_the_figure_come_last),
		TEST(arenas_are_filtered),
		TEST(graphs_as_svg),
		TEST(a_screen_as_svg),
		TEST(estimates),
		TEST(a_recording),
		TEST(extremes),
		TEST(nothing_to_show),
		TEST(states_of_the_frame),
		TEST(a_source_without_the_heap),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
