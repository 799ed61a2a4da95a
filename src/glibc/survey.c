#include "glibc/survey.h"

#include "base/sort.h"
#include "base/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* A walk that goes back takes back at most what lies between 16 places to go
	 * back to, or behind a chunk that a seek found: some 16,000 pieces. */
	LOG_PIECES = 1 << 15,
	WINDOW_PIECES = WALK_WINDOW / 16, /* the most that one window can add */
	CACHED = 1 << 18,
	INDEX_BITS = 15,
};

_Static_assert(HEAP_AREAS <= 1 << INDEX_BITS, "an area's index fits its key");

struct survey *survey_new(void)
{
	struct survey *survey = take(sizeof(*survey));

	if (!survey)
		return NULL;
	survey->log.piece = take(LOG_PIECES * sizeof(*survey->log.piece));
	survey->log.mask = LOG_PIECES - 1;
	survey->cached = take(CACHED * sizeof(*survey->cached));
	survey->tail = take(TAIL_RUNS * sizeof(*survey->tail));
	if (survey->log.piece && survey->cached && survey->tail)
		return survey;
	survey_free(survey);
	return NULL;
}

int survey_fit(struct survey *survey, unsigned areas)
{
	uint64_t *stretch = survey ? take(areas * sizeof(*stretch)) : NULL;

	if (!survey)
		return 0;
	if (!stretch)
		return -ENOMEM;
	free(survey->stretch);
	survey->stretch = stretch;
	return 0;
}

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	free(survey->log.piece);
	free(survey->cached);
	free(survey->stretch);
	free(survey->tail);
	free(survey);
}

/* ---- what is known before ---- */

static int note_cached(uint64_t chunk, void *context)
{
	struct heap *heap = context;
	struct survey *survey = heap->survey;

	if (survey->cached_count < CACHED)
		survey->cached[survey->cached_count++] = chunk;
	else
		heap_miss(heap, "there are more than %d chunks in thread caches", CACHED);
	return heap_owner(chunk, heap);
}

int survey_begin(struct heap *heap, const struct regions *regions)
{
	struct survey *survey = heap->survey;
	int error = heap_walk(heap, regions);

	survey->cached_count = 0;
	if (!error)
		error = heap_read_tcaches(heap, true, true, note_cached, heap);
	if (!error)
		error = heap_settle_fastbins(heap);
	if (!error)
		heap_list_fastbins(heap);
	sort_addresses(survey->cached, survey->cached_count);
	survey->cached_count = sort_unique(survey->cached, survey->cached_count);
	return error;
}

/* The reading has met them already. */
static void take_cached(struct heap *heap)
{
	struct survey *survey = heap->survey;

	survey->cached_count = 0;
	for (uint32_t i = 0; i < heap->cached.count && i < CACHED; i++)
		survey->cached[survey->cached_count++] =
			tcache_met_chunk(&heap->cached, i);
	sort_addresses(survey->cached, survey->cached_count);
	survey->cached_count = sort_unique(survey->cached, survey->cached_count);
}

bool survey_resume(struct heap *heap)
{
	if (!heap->has_walked || heap->cached.count == heap->cached.capacity)
		return false;
	heap->has_walked = false;
	take_cached(heap);
	heap_list_fastbins(heap);
	return true;
}

bool survey_is_cached(const struct survey *survey, uint64_t addr)
{
	size_t i = sort_lower_bound(survey->cached, survey->cached_count, addr);

	return i < survey->cached_count && survey->cached[i] == addr;
}

unsigned survey_order(struct heap *heap, int arena)
{
	uint64_t *stretch = heap->survey->stretch;
	unsigned count = 0;

	for (unsigned i = 0; i < heap->area_count; i++)
		if (arena == PINS_ALL_ARENAS || heap->area[i].arena == (unsigned)arena)
			stretch[count++] =
				heap->area[i].area.start / GLIBC_ALIGN << INDEX_BITS | i;
	sort_addresses(stretch, count);
	for (unsigned i = 0; i < count; i++)
		stretch[i] &= (1 << INDEX_BITS) - 1;
	return count;
}

enum sample_status survey_status(struct heap *heap, uint64_t doubt_bytes,
				 uint64_t unread_bytes, char missing[SAMPLE_TEXT])
{
	if (unread_bytes)
		heap_miss(heap, "%llu bytes of the heap are swapped out",
			  (unsigned long long)unread_bytes);
	memcpy(missing, heap->missing, SAMPLE_TEXT);
	if (missing[0])
		return STATUS_PARTIAL;
	return doubt_bytes ? STATUS_TORN : STATUS_COMPLETE;
}

/* ---- one area ---- */

/* A walk under way, and what of its pieces has been told. */
struct teller {
	const struct survey_visitor *visitor;
	struct walk *walk;
	uint64_t told; /* pieces, by number */
	uint64_t at;   /* up to where */
	bool enough;
};

static void tell(struct teller *teller, enum piece_kind kind, uint64_t start,
		 uint64_t end)
{
	const struct piece piece = {start, end, kind};

	teller->at = end;
	teller->enough = !teller->visitor->piece(teller->visitor->context, &piece);
}

/* What the chain passed over without a word is in doubt. A walk that had to go back
 * further than it was thought to may tell of a place again: only what is behind it is
 * news. */
static void tell_piece(struct teller *teller, const struct piece *piece)
{
	if (piece->start > teller->at)
		tell(teller, PIECE_DOUBT, teller->at, piece->start);
	if (teller->enough || piece->end <= teller->at)
		return;
	tell(teller, piece->start < teller->at ? PIECE_DOUBT : piece->kind, teller->at,
	     piece->end);
}

static void tell_until(struct teller *teller, uint64_t number)
{
	const struct walk_log *log = teller->walk->log;

	/* The walk took back what had been told. */
	if (teller->told > teller->walk->place.noted)
		teller->told = teller->walk->place.noted;
	while (teller->told < number && !teller->enough)
		tell_piece(teller, &log->piece[teller->told++ & log->mask]);
}

/* The place that WALK keeps with the fewest pieces before it, or null when it still keeps
 * the one where it began. */
static const struct walk_saved *oldest_place(const struct walk *walk)
{
	const struct walk_saved *oldest = &walk->saved[0];

	for (unsigned i = 1; i < WALK_SAVES; i++)
		if (walk->saved[i].place.noted < oldest->place.noted)
			oldest = &walk->saved[i];
	if (!oldest->place.noted || oldest->place.noted > walk->place.noted ||
	    oldest->place.at > walk->place.at)
		return NULL;
	return oldest;
}

/* The walk can still go back, but no further than to the oldest place that it keeps, or
 * to the chunk that its last seek found. What is before that can be told, and is where
 * the walk begins from now on. */
static void tell_settled(struct teller *teller)
{
	struct walk *walk = teller->walk;
	const struct walk_saved *oldest = walk->has_candidate ? NULL : oldest_place(walk);
	uint64_t noted = walk->place.noted;

	if (oldest) {
		walk->origin = *oldest;
		tell_until(teller, oldest->place.noted);
	}
	if (noted > teller->told + LOG_PIECES - WINDOW_PIECES)
		tell_until(teller, noted - WINDOW_PIECES);
}

static int walk_and_tell(struct heap *heap, struct teller *teller)
{
	struct walk *walk = teller->walk;
	struct span span;

	while (!teller->enough && walk_wants(walk, &span)) {
		int got = heap->memory->read(heap->memory, &span, 1);

		if (got < 0)
			return got;
		walk_feed(walk, got == 1);
		tell_settled(teller);
	}
	tell_until(teller, walk->place.noted);
	if (!teller->enough && teller->at < walk->place.at)
		tell(teller, PIECE_DOUBT, teller->at, walk->place.at);
	return 0;
}

int survey_area(struct heap *heap, unsigned index, uint64_t from,
		const struct survey_visitor *visitor)
{
	const struct owned_area *owned = &heap->area[index];
	struct address_list no_tcaches = {0};
	struct walk_arena arena = heap->work[owned->arena].walk;
	struct walk_area area = owned->area;
	struct walk *walk = &heap->walks[heap->jobs];
	struct teller teller = {.visitor = visitor, .walk = walk, .at = owned->front};
	uint64_t start;
	int error;

	arena.tcaches = &no_tcaches;
	arena.bins = false;
	if (area.top)
		area.stop = area.top;
	start = heap_seed_before(heap, &arena, &area, from);
	walk_begin(walk, &arena, heap->memory, &area, start, area.stop);
	walk->pages = heap->pages;
	walk->buffer = heap->window;
	walk->log = &heap->survey->log;
	visitor->begin(visitor->context, owned);
	if (start > area.start)
		teller.at = start;
	else if (area.start > owned->front)
		tell(&teller, PIECE_OWN, owned->front, area.start);
	error = walk_and_tell(heap, &teller);
	visitor->end(visitor->context);
	return error;
}
