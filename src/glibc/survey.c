#include "glibc/survey.h"

#include "base/alloc_touched.h"
#include "base/sort.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* A walk that goes back takes back at most what lies between 16 places to go
	 * back to, or behind a chunk that a seek found: some 16,000 pieces. */
	LOG_PIECES = 1 << 15,
	WINDOW_PIECES = WALK_WINDOW / 16, /* the most that one window can add */
	INDEX_BITS = 15,
};

_Static_assert(HEAP_SEGMENTS <= 1 << INDEX_BITS, "a segment's index fits its key");

struct survey *survey_new(void)
{
	struct survey *survey = alloc_touched(sizeof(*survey));

	if (!survey)
		return NULL;
	survey->log.piece = alloc_touched(LOG_PIECES * sizeof(*survey->log.piece));
	survey->log.mask = LOG_PIECES - 1;
	survey->tail = alloc_touched(TAIL_RUNS * sizeof(*survey->tail));
	if (survey->log.piece && survey->tail)
		return survey;
	survey_free(survey);
	return NULL;
}

int survey_fit(struct survey *survey, unsigned segments)
{
	uint64_t *segment = survey ? alloc_touched(segments * sizeof(*segment)) : NULL;

	if (!survey)
		return 0;
	if (!segment)
		return -ENOMEM;
	free(survey->segment);
	survey->segment = segment;
	return 0;
}

void survey_free(struct survey *survey)
{
	if (!survey)
		return;
	free(survey->log.piece);
	free(survey->cached);
	free(survey->segment);
	free(survey->tail);
	free(survey);
}

/* ---- what is known before ---- */

static int note_cached(uint64_t chunk, void *context)
{
	struct heap *heap = context;
	struct survey *survey = heap->survey;

	if (survey->cached_count < survey->cached_capacity)
		survey->cached[survey->cached_count++] = chunk;
	else
		heap_miss(heap, "there are more than %u chunks in thread caches",
			  survey->cached_capacity);
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
	survey->is_ready = !error;
	return error;
}

/* The reading has met them already. */
static void take_cached(struct heap *heap)
{
	struct survey *survey = heap->survey;

	survey->cached_count = 0;
	for (uint32_t i = 0; i < heap->cached.count && i < survey->cached_capacity; i++)
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
	heap->survey->is_ready = true;
	return true;
}

/* Who asks goes up through the heap: most of the time nothing cached lies between one
 * chunk and the next. */
bool survey_is_cached(struct survey *survey, uint64_t addr)
{
	uint32_t i = survey->asked, count = survey->cached_count;

	if (i > count || (i && survey->cached[i - 1] >= addr) ||
	    (i < count && survey->cached[i] < addr))
		i = (uint32_t)sort_lower_bound(survey->cached, count, addr);
	survey->asked = i;
	return i < count && survey->cached[i] == addr;
}

unsigned survey_order(struct heap *heap, int arena)
{
	uint64_t *segment = heap->survey->segment;
	unsigned count = 0;

	for (unsigned i = 0; i < heap->segment_count; i++)
		if (arena == BLOCKERS_ALL_ARENAS ||
		    heap->segment[i].arena == (unsigned)arena)
			segment[count++] = heap->segment[i].segment.start / GLIBC_ALIGN
						   << INDEX_BITS |
					   i;
	sort_addresses(segment, count);
	for (unsigned i = 0; i < count; i++)
		segment[i] &= (1 << INDEX_BITS) - 1;
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

/* ---- one segment ---- */

/* A walk under way, and what of its pieces has been told. */
struct visit {
	const struct survey_visitor *visitor;
	struct walk *walk;
	uint64_t told; /* pieces, by number */
	uint64_t at;   /* up to where */
	bool enough;
};

static void visit_range(struct visit *visit, enum piece_kind kind, uint64_t start,
			uint64_t end)
{
	const struct piece piece = {start, end, kind};

	visit->at = end;
	visit->enough = !visit->visitor->piece(visit->visitor->context, &piece);
}

/* What the chain passed over without a word is in doubt. A walk that had to go back
 * further than it was thought to may tell of a place again: only what is behind it is
 * news. */
static void visit_piece(struct visit *visit, const struct piece *piece)
{
	if (piece->start > visit->at)
		visit_range(visit, PIECE_DOUBT, visit->at, piece->start);
	if (visit->enough || piece->end <= visit->at)
		return;
	visit_range(visit, piece->start < visit->at ? PIECE_DOUBT : piece->kind,
		    visit->at, piece->end);
}

static void visit_until(struct visit *visit, uint64_t number)
{
	const struct walk_log *log = visit->walk->log;

	/* The walk took back what had been told. */
	if (visit->told > visit->walk->place.noted)
		visit->told = visit->walk->place.noted;
	while (visit->told < number && !visit->enough)
		visit_piece(visit, &log->piece[visit->told++ & log->mask]);
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
static void visit_settled(struct visit *visit)
{
	struct walk *walk = visit->walk;
	const struct walk_saved *oldest = walk->has_candidate ? NULL : oldest_place(walk);
	uint64_t noted = walk->place.noted;

	if (oldest) {
		walk->origin = *oldest;
		visit_until(visit, oldest->place.noted);
	}
	if (noted > visit->told + LOG_PIECES - WINDOW_PIECES)
		visit_until(visit, noted - WINDOW_PIECES);
}

static int walk_and_visit(struct heap *heap, struct visit *visit)
{
	struct walk *walk = visit->walk;
	struct span span;

	while (!visit->enough && walk_wants(walk, &span)) {
		int got = heap->memory->read(heap->memory, &span, 1);

		if (got < 0)
			return got;
		walk_feed(walk, got == 1);
		visit_settled(visit);
	}
	visit_until(visit, walk->place.noted);
	if (!visit->enough && visit->at < walk->place.at)
		visit_range(visit, PIECE_DOUBT, visit->at, walk->place.at);
	return 0;
}

int survey_segment(struct heap *heap, unsigned index, uint64_t from,
		   const struct survey_visitor *visitor)
{
	const struct owned_segment *owned = &heap->segment[index];
	struct address_list no_tcaches = {0};
	struct walk_arena arena = heap->work[owned->arena].walk;
	struct walk_segment segment = owned->segment;
	struct walk *walk = &heap->walks[heap->jobs];
	struct visit visit = {.visitor = visitor, .walk = walk, .at = owned->front};
	uint64_t start;
	int error;

	arena.tcaches = &no_tcaches;
	arena.bins = false;
	if (segment.top)
		segment.stop = segment.top;
	start = heap_seed_before(heap, &arena, &segment, from);
	walk_begin(walk, &arena, heap->memory, &segment, start, segment.stop);
	walk->pages = heap->pages;
	walk->buffer = heap->window;
	walk->log = &heap->survey->log;
	visitor->begin(visitor->context, owned);
	if (start > segment.start)
		visit.at = start;
	else if (segment.start > owned->front)
		visit_range(&visit, PIECE_OWN, owned->front, segment.start);
	error = walk_and_visit(heap, &visit);
	visitor->end(visitor->context);
	return error;
}
