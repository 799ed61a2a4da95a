#include "preload/allocator_ops.h"

#include <stddef.h>

/* jemalloc's own interface, version 5; its headers need not be there. */
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
int mallctlnametomib(const char *name, size_t *mib, size_t *length);
int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_bytes,
		 void *new, size_t new_bytes);
#pragma weak mallctl
#pragma weak mallctlnametomib
#pragma weak mallctlbymib
/* As a program exports them that has a jemalloc of its own beside libc's malloc. */
__typeof__(mallctl) je_mallctl;
__typeof__(mallctlnametomib) je_mallctlnametomib;
__typeof__(mallctlbymib) je_mallctlbymib;
#pragma weak je_mallctl
#pragma weak je_mallctlnametomib
#pragma weak je_mallctlbymib

enum {
	MIB = 8,
	ARENA_AT = 2, /* in the name of a figure of one arena */
	CLASS_AT = 4, /* in that of one of its bins or extents */
	BIN_AT = 2,   /* in that of what a bin is made of */
	INITIALIZED_AT = 1,
	EXTENTS = 512, /* classes of extents: no jemalloc has as many */
};

/* In place of an arena's number: all of them together. */
#define ALL_ARENAS "4096"
enum { ALL = 4096 };

/* A name as it is looked up once; a name that this jemalloc does not know has no length.
 */
struct mib {
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

enum ctl_part {
	DIRTY_PAGES,
	MUZZY_PAGES,
	SMALL,
	LARGE,
	CACHED,
	STASHED,
	PARTS,
};

/* Figures of one class of small sizes, whose regions lie in slabs. */
enum bin {
	SLABS,
	REGIONS,
	BINS,
};

/* Figures of one class of free extents. What they hold is dirty, muzzy or given back. */
enum { KINDS = 3 };

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

static const char *const bin_name[BINS] = {
	[SLABS] = OF_ARENA("bins.0.curslabs"),
	[REGIONS] = OF_ARENA("bins.0.curregs"),
};

static const char *const extents_name[KINDS] = {
	OF_ARENA("extents.0.ndirty"),
	OF_ARENA("extents.0.nmuzzy"),
	OF_ARENA("extents.0.nretained"),
};

static const char *const extents_bytes_name[KINDS] = {
	OF_ARENA("extents.0.dirty_bytes"),
	OF_ARENA("extents.0.muzzy_bytes"),
	OF_ARENA("extents.0.retained_bytes"),
};

/* What a class of small sizes is made of, which never changes. */
struct slab {
	size_t region_bytes, slab_bytes;
	uint32_t regions;
};

static struct {
	__typeof__(&mallctl) ctl;
	__typeof__(&mallctlnametomib) to_mib;
	__typeof__(&mallctlbymib) by_mib;
	struct mib epoch, arenas, initialized, purge;
	struct mib whole[WHOLES];
	struct mib part[PARTS];
	struct mib bin[BINS];
	struct mib extents[KINDS], extents_bytes[KINDS];
	struct slab slab[RING_CLASSES];
	unsigned bins;	  /* classes in SLAB; 0: not known */
	unsigned classes; /* of extents; 0: not known */
	size_t page_bytes;
} known;

/* ---- asking ---- */

static struct mib look_up(const char *text)
{
	struct mib name = {.length = MIB};

	if (known.to_mib(text, name.mib, &name.length))
		name.length = 0;
	return name;
}

static bool ask(const struct mib *name, void *value, size_t bytes)
{
	return name->length &&
	       !known.by_mib(name->mib, name->length, value, &bytes, NULL, 0);
}

/* Whether ARENA has the figure PART; a figure that this jemalloc does not keep is 0. */
static bool ask_part(enum ctl_part part, size_t arena, size_t *value)
{
	struct mib name = known.part[part];

	*value = 0;
	if (!name.length)
		return part == STASHED;
	name.mib[ARENA_AT] = arena;
	return ask(&name, value, sizeof(*value));
}

static bool ask_class(const struct mib *of, size_t arena, size_t class, size_t *value)
{
	struct mib name = *of;

	name.mib[ARENA_AT] = arena;
	name.mib[CLASS_AT] = class;
	return ask(&name, value, sizeof(*value));
}

/* Figures are those of the last change of the epoch. */
static void refresh(void)
{
	uint64_t epoch = 1;
	size_t bytes = sizeof(epoch);

	known.by_mib(known.epoch.mib, known.epoch.length, &epoch, &bytes, &epoch, bytes);
}

/* ---- before the program ---- */

/* The number alone: what follows it names a commit. */
static void append_version(char name[RING_NAME])
{
	const char *version = NULL;
	size_t bytes = sizeof(const char *);
	char number[RING_NAME];
	unsigned i = 0;

	if (known.ctl("version", (void *)&version, &bytes, NULL, 0) || !version)
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

	return !known.ctl("config.stats", &keeps, &bytes, NULL, 0) && keeps;
}

/* One constant of each class of small sizes; false when it is not reported. */
static bool look_up_slabs(const char *text, size_t offset, size_t bytes)
{
	struct mib name = look_up(text);

	for (unsigned i = 0; i < known.bins; i++) {
		name.mib[BIN_AT] = i;
		if (!ask(&name, (char *)&known.slab[i] + offset, bytes))
			return false;
	}
	return true;
}

static void look_up_bins(void)
{
	const struct mib count = look_up("arenas.nbins");

	for (unsigned i = 0; i < BINS; i++)
		known.bin[i] = look_up(bin_name[i]);
	if (!ask(&count, &known.bins, sizeof(known.bins)) || known.bins > RING_CLASSES ||
	    !look_up_slabs("arenas.bin.0.size", offsetof(struct slab, region_bytes),
			   sizeof(size_t)) ||
	    !look_up_slabs("arenas.bin.0.slab_size", offsetof(struct slab, slab_bytes),
			   sizeof(size_t)) ||
	    !look_up_slabs("arenas.bin.0.nregs", offsetof(struct slab, regions),
			   sizeof(uint32_t)))
		known.bins = 0;
}

/* How many classes of extents there are is not reported, but which is none. */
static void look_up_extents(void)
{
	size_t count;

	for (unsigned i = 0; i < KINDS; i++) {
		known.extents[i] = look_up(extents_name[i]);
		known.extents_bytes[i] = look_up(extents_bytes_name[i]);
	}
	while (known.classes < EXTENTS &&
	       ask_class(&known.extents[0], ALL, known.classes, &count))
		known.classes++;
}

/* That of the program, if it has one under this prefix: it is there to be used. */
static bool find_prefixed(void)
{
	known.ctl = je_mallctl;
	known.to_mib = je_mallctlnametomib;
	known.by_mib = je_mallctlbymib;
	return known.ctl && known.to_mib && known.by_mib &&
	       host_is_of_program((const void *)known.ctl);
}

/* That which serves malloc. */
static bool find_calls(void)
{
	known.ctl = (__typeof__(known.ctl))host_find("mallctl", (const void *)mallctl);
	known.to_mib = (__typeof__(known.to_mib))host_find(
		"mallctlnametomib", (const void *)mallctlnametomib);
	known.by_mib = (__typeof__(known.by_mib))host_find("mallctlbymib",
							   (const void *)mallctlbymib);
	return known.ctl && known.to_mib && known.by_mib &&
	       host_malloc_is_beside((const void *)known.ctl);
}

static bool start(char name[RING_NAME])
{
	size_t bytes = sizeof(known.page_bytes);

	if ((!find_prefixed() && !find_calls()) || !keeps_statistics() ||
	    known.ctl("arenas.page", &known.page_bytes, &bytes, NULL, 0))
		return false;
	known.epoch = look_up("epoch");
	known.arenas = look_up("arenas.narenas");
	known.initialized = look_up("arena.0.initialized");
	known.purge = look_up("arena." ALL_ARENAS ".purge");
	for (unsigned i = 0; i < WHOLES; i++)
		known.whole[i] = look_up(whole_name[i]);
	for (unsigned i = 0; i < PARTS; i++)
		known.part[i] = look_up(part_name[i]);
	look_up_bins();
	look_up_extents();
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
	struct mib name = known.initialized;
	bool is = false;

	name.mib[INITIALIZED_AT] = arena;
	return ask(&name, &is, sizeof(is)) && is;
}

/* What an arena, or all of them, keep in slabs. */
struct slabs {
	uint64_t bytes, free_bytes;
};

/* One class of small sizes in ARENA; regions in thread caches count as used. */
static bool ask_bin(size_t arena, unsigned class, struct ring_class *told)
{
	const struct slab *slab = &known.slab[class];
	size_t slabs, used;

	if (!ask_class(&known.bin[SLABS], arena, class, &slabs) ||
	    !ask_class(&known.bin[REGIONS], arena, class, &used) ||
	    used > slabs * slab->regions)
		return false;
	told->region_bytes = slab->region_bytes;
	told->slabs = slabs;
	told->used = used;
	told->free = slabs * slab->regions - used;
	return true;
}

/* The classes of ARENA to TOLD, unless that is null, and their SUM. */
static bool ask_bins(size_t arena, struct ring_class *told, struct slabs *sum)
{
	*sum = (struct slabs){0};
	for (unsigned i = 0; i < known.bins; i++) {
		struct ring_class class;

		if (!ask_bin(arena, i, &class))
			return false;
		sum->bytes += class.slabs * known.slab[i].slab_bytes;
		sum->free_bytes += class.free * class.region_bytes;
		if (told)
			told[i] = class;
	}
	return known.bins;
}

/* The largest free extent of those in CLASS of ARENA, at least: their mean, which is it
 * where there is one only. 0: there is none. */
static size_t ask_extents(size_t arena, size_t class)
{
	size_t largest = 0;

	for (unsigned i = 0; i < KINDS; i++) {
		size_t count, bytes;

		if (ask_class(&known.extents[i], arena, class, &count) && count &&
		    ask_class(&known.extents_bytes[i], arena, class, &bytes) &&
		    bytes / count > largest)
			largest = bytes / count;
	}
	return largest;
}

/* Classes from *END downwards, which becomes the end of those that have an extent. */
static size_t ask_largest_extent(size_t arena, unsigned *end)
{
	size_t largest = 0;

	while (*end && !(largest = ask_extents(arena, *end - 1)))
		--*end;
	return largest;
}

static void put_arena(struct ring_arena *row, size_t arena, unsigned classes)
{
	size_t small, large, cached, stashed, pages;
	struct slabs slabs;

	*row = (struct ring_arena){.index = (uint32_t)arena};
	if (ask_part(SMALL, arena, &small) && ask_part(LARGE, arena, &large) &&
	    ask_part(CACHED, arena, &cached) && ask_part(STASHED, arena, &stashed) &&
	    small + large >= cached + stashed)
		arena_put(row, RING_LIVE_BYTES, small + large - cached - stashed);
	if (ask_part(DIRTY_PAGES, arena, &pages))
		arena_put(row, RING_DIRTY_BYTES, pages * known.page_bytes);
	if (ask_part(MUZZY_PAGES, arena, &pages))
		arena_put(row, RING_MUZZY_BYTES, pages * known.page_bytes);
	if (ask_bins(arena, NULL, &slabs)) {
		arena_put(row, RING_SLAB_BYTES, slabs.bytes);
		arena_put(row, RING_SLAB_FREE_BYTES, slabs.free_bytes);
	}
	if (known.classes)
		arena_put(row, RING_LARGEST_EXTENT_BYTES,
			  ask_largest_extent(arena, &classes));
}

static void put_classes(struct ring_sample *sample)
{
	struct slabs slabs;

	if (!ask_bins(ALL, sample->class, &slabs))
		return;
	sample->classes_filled = known.bins;
	sample->flags |= RING_SLABS;
	sample_put(sample, RING_SLAB_BYTES, slabs.bytes);
	sample_put(sample, RING_SLAB_FREE_BYTES, slabs.free_bytes);
	if (sample->have >> RING_DIRTY_BYTES & sample->have >> RING_MUZZY_BYTES & 1)
		sample_put(sample, RING_FREE_BYTES,
			   slabs.free_bytes + sample->value[RING_DIRTY_BYTES] +
				   sample->value[RING_MUZZY_BYTES]);
}

/* The process's is a mean over all arenas, which one of them may exceed; but none has an
 * extent of a larger class. */
static void put_largest(struct ring_sample *sample, unsigned *classes)
{
	if (known.classes)
		sample_put(sample, RING_LARGEST_EXTENT_BYTES,
			   ask_largest_extent(ALL, classes));
}

static void raise_largest(struct ring_sample *sample, const struct ring_arena *row)
{
	if (row->value[RING_LARGEST_EXTENT_BYTES] >
	    sample->value[RING_LARGEST_EXTENT_BYTES])
		sample->value[RING_LARGEST_EXTENT_BYTES] =
			row->value[RING_LARGEST_EXTENT_BYTES];
}

/* Of the epoch that the totals are of. */
static bool detail(struct ring_sample *sample)
{
	unsigned arenas, found = 0, classes = known.classes;

	put_classes(sample);
	put_largest(sample, &classes);
	if (!ask(&known.arenas, &arenas, sizeof(arenas)))
		return false;
	for (unsigned i = 0; i < arenas; i++) {
		struct ring_arena *row = &sample->arena[sample->arenas_filled];

		if (!is_initialized(i))
			continue;
		found++;
		if (sample->arenas_filled == RING_ARENAS)
			continue;
		put_arena(row, i, classes);
		raise_largest(sample, row);
		sample->arenas_filled++;
	}
	sample_put(sample, RING_ARENA_COUNT, found);
	return true;
}

static void trim(void)
{
	known.by_mib(known.purge.mib, known.purge.length, NULL, NULL, NULL, 0);
}

const struct allocator_ops allocator_ops_jemalloc = {
	.kind = RING_JEMALLOC,
	.start = start,
	.totals = totals,
	.detail = detail,
	.trim = trim,
};
