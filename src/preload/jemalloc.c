#include "preload/asker.h"

/* jemalloc's own interface, version 5; its headers need not be there. */
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
int mallctlnametomib(const char *name, size_t *mib, size_t *length);
int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_bytes,
		 void *new, size_t new_bytes);
#pragma weak mallctl
#pragma weak mallctlnametomib
#pragma weak mallctlbymib

enum {
	MIB = 8,
	ARENA_AT = 2, /* in the name of a figure of one arena */
	INITIALIZED_AT = 1,
};

/* In place of an arena's number: all of them together. */
#define ALL_ARENAS "4096"
enum { ALL = 4096 };

/* A name as it is looked up once; a name that this jemalloc does not know has no length.
 */
struct name {
	size_t mib[MIB];
	size_t length;
};

enum whole {
	ALLOCATED,
	ACTIVE,
	RESIDENT,
	MAPPED,
	RETAINED,
	WHOLES,
};

enum part {
	DIRTY_PAGES,
	MUZZY_PAGES,
	SMALL,
	LARGE,
	CACHED,
	STASHED,
	PARTS,
};

static const char *const whole_name[WHOLES] = {
	[ALLOCATED] = "stats.allocated", [ACTIVE] = "stats.active",
	[RESIDENT] = "stats.resident",	 [MAPPED] = "stats.mapped",
	[RETAINED] = "stats.retained",
};

#define OF_ARENA(name) "stats.arenas." ALL_ARENAS "." name

static const char *const part_name[PARTS] = {
	[DIRTY_PAGES] = OF_ARENA("pdirty"),
	[MUZZY_PAGES] = OF_ARENA("pmuzzy"),
	[SMALL] = OF_ARENA("small.allocated"),
	[LARGE] = OF_ARENA("large.allocated"),
	[CACHED] = OF_ARENA("tcache_bytes"),
	[STASHED] = OF_ARENA("tcache_stashed_bytes"), /* from 5.3 */
};

static struct {
	struct name epoch, arenas, initialized, purge;
	struct name whole[WHOLES];
	struct name part[PARTS];
	size_t page_bytes;
} known;

/* ---- asking ---- */

static struct name look_up(const char *text)
{
	struct name name = {.length = MIB};

	if (mallctlnametomib(text, name.mib, &name.length))
		name.length = 0;
	return name;
}

static bool ask(const struct name *name, void *value, size_t bytes)
{
	return name->length &&
	       !mallctlbymib(name->mib, name->length, value, &bytes, NULL, 0);
}

/* Whether ARENA has the figure PART; a figure that this jemalloc does not keep is 0. */
static bool ask_part(enum part part, size_t arena, size_t *value)
{
	struct name name = known.part[part];

	*value = 0;
	if (!name.length)
		return part == STASHED;
	name.mib[ARENA_AT] = arena;
	return ask(&name, value, sizeof(*value));
}

/* Figures are those of the last change of the epoch. */
static void refresh(void)
{
	uint64_t epoch = 1;
	size_t bytes = sizeof(epoch);

	mallctlbymib(known.epoch.mib, known.epoch.length, &epoch, &bytes, &epoch, bytes);
}

/* ---- before the program ---- */

/* The number alone: what follows it names a commit. */
static void append_version(char name[RING_NAME])
{
	const char *version = NULL;
	size_t bytes = sizeof(const char *);
	char number[RING_NAME];
	unsigned i = 0;

	if (mallctl("version", (void *)&version, &bytes, NULL, 0) || !version)
		return;
	for (; version[i] && version[i] != '-' && i < RING_NAME - 1; i++)
		number[i] = version[i];
	number[i] = '\0';
	host_append(name, "-");
	host_append(name, number);
}

static bool keeps_statistics(void)
{
	bool keeps = false;
	size_t bytes = sizeof(keeps);

	return !mallctl("config.stats", &keeps, &bytes, NULL, 0) && keeps;
}

static bool start(char name[RING_NAME])
{
	size_t bytes = sizeof(known.page_bytes);

	if (!mallctl || !mallctlnametomib || !mallctlbymib ||
	    !host_malloc_is_beside((const void *)mallctl) || !keeps_statistics() ||
	    mallctl("arenas.page", &known.page_bytes, &bytes, NULL, 0))
		return false;
	known.epoch = look_up("epoch");
	known.arenas = look_up("arenas.narenas");
	known.initialized = look_up("arena.0.initialized");
	known.purge = look_up("arena." ALL_ARENAS ".purge");
	for (unsigned i = 0; i < WHOLES; i++)
		known.whole[i] = look_up(whole_name[i]);
	for (unsigned i = 0; i < PARTS; i++)
		known.part[i] = look_up(part_name[i]);
	name[0] = '\0';
	host_append(name, "jemalloc");
	append_version(name);
	return true;
}

/* ---- samples ---- */

static void put_whole(struct ring_sample *sample, enum ring_figure figure,
		      enum whole whole)
{
	size_t value;

	if (ask(&known.whole[whole], &value, sizeof(value)))
		sample_put(sample, figure, value);
}

/* What threads have cached counts as allocated. */
static void put_live(struct ring_sample *sample)
{
	size_t allocated, cached, stashed;

	if (!ask(&known.whole[ALLOCATED], &allocated, sizeof(allocated)) ||
	    !ask_part(CACHED, ALL, &cached) || !ask_part(STASHED, ALL, &stashed))
		return;
	cached += stashed;
	sample_put(sample, RING_THREAD_CACHE_BYTES, cached);
	sample_put(sample, RING_LIVE_BYTES, allocated > cached ? allocated - cached : 0);
}

static void totals(struct ring_sample *sample)
{
	size_t dirty, muzzy;

	refresh();
	put_live(sample);
	put_whole(sample, RING_ACTIVE_BYTES, ACTIVE);
	put_whole(sample, RING_RESIDENT_BYTES, RESIDENT);
	put_whole(sample, RING_MAPPED_BYTES, MAPPED);
	put_whole(sample, RING_UNMAPPED_BYTES, RETAINED);
	if (ask_part(DIRTY_PAGES, ALL, &dirty))
		sample_put(sample, RING_DIRTY_BYTES, dirty * known.page_bytes);
	if (ask_part(MUZZY_PAGES, ALL, &muzzy))
		sample_put(sample, RING_MUZZY_BYTES, muzzy * known.page_bytes);
}

static bool is_initialized(size_t arena)
{
	struct name name = known.initialized;
	bool is = false;

	name.mib[INITIALIZED_AT] = arena;
	return ask(&name, &is, sizeof(is)) && is;
}

static void put_arena(struct ring_arena *row, size_t arena)
{
	size_t small, large, cached, stashed, dirty, muzzy;

	*row = (struct ring_arena){.index = (uint32_t)arena};
	if (ask_part(SMALL, arena, &small) && ask_part(LARGE, arena, &large) &&
	    ask_part(CACHED, arena, &cached) && ask_part(STASHED, arena, &stashed) &&
	    small + large >= cached + stashed) {
		row->value[RING_LIVE_BYTES] = small + large - cached - stashed;
		row->have |= UINT64_C(1) << RING_LIVE_BYTES;
	}
	if (ask_part(DIRTY_PAGES, arena, &dirty)) {
		row->value[RING_DIRTY_BYTES] = dirty * known.page_bytes;
		row->have |= UINT64_C(1) << RING_DIRTY_BYTES;
	}
	if (ask_part(MUZZY_PAGES, arena, &muzzy)) {
		row->value[RING_MUZZY_BYTES] = muzzy * known.page_bytes;
		row->have |= UINT64_C(1) << RING_MUZZY_BYTES;
	}
}

/* Of the epoch that the totals are of. */
static bool detail(struct ring_sample *sample)
{
	unsigned arenas, found = 0;

	if (!ask(&known.arenas, &arenas, sizeof(arenas)))
		return false;
	for (unsigned i = 0; i < arenas; i++) {
		if (!is_initialized(i))
			continue;
		found++;
		if (sample->arenas_told < RING_ARENAS)
			put_arena(&sample->arena[sample->arenas_told++], i);
	}
	sample_put(sample, RING_ARENA_COUNT, found);
	return true;
}

static void trim(void)
{
	mallctlbymib(known.purge.mib, known.purge.length, NULL, NULL, NULL, 0);
}

const struct asker asker_jemalloc = {
	.kind = RING_JEMALLOC,
	.start = start,
	.totals = totals,
	.detail = detail,
	.trim = trim,
};
