#include "glibc/pieces.h"

#include "base/sort.h"
#include "glibc/gather.h"
#include "glibc/mapped.h"
#include "glibc/survey.h"

#include <limits.h>

/* Between the survey and the visitor. */
struct relay {
	struct heap *heap;
	const struct heap_piece_visitor *visitor;
	uint64_t doubt_bytes;
	uint64_t unread_bytes;
	int error;
};

static void begin(void *context, const struct owned_segment *segment)
{
	struct relay *relay = context;
	const struct heap_segment visited = {
		.arena = segment->arena,
		.number = (unsigned)(segment - relay->heap->segment),
		.end = segment->segment.end,
		.trim_unit_bytes = relay->heap->work[segment->arena].walk.trim_unit_bytes,
	};

	if (!relay->error)
		relay->error = relay->visitor->begin(relay->visitor->context, &visited);
}

static bool piece(void *context, const struct piece *one)
{
	struct relay *relay = context;
	bool cached = one->kind == PIECE_USED &&
		      survey_is_cached(relay->heap->survey, one->start);

	if (one->kind == PIECE_DOUBT) {
		uint64_t unread =
			pages_swapped_bytes(relay->heap->pages, one->start, one->end);

		relay->unread_bytes += unread;
		relay->doubt_bytes += one->end - one->start - unread;
	}
	if (!relay->error)
		relay->error =
			relay->visitor->piece(relay->visitor->context, one, cached);
	return !relay->error;
}

static void end(void *context)
{
	struct relay *relay = context;

	if (!relay->error)
		relay->error = relay->visitor->end(relay->visitor->context);
}

/* ---- what the walks have listed ---- */

/* The walks take chunks in fastbins for chunks in use. Both tables ascend. */
struct known_chunks {
	const uint64_t *fast, *fast_end;
	const uint64_t *cached, *cached_end;
};

static bool is_next(const uint64_t **next, const uint64_t *end, uint64_t addr)
{
	while (*next < end && **next < addr)
		++*next;
	return *next < end && **next == addr;
}

static void visit_key(struct relay *relay, struct known_chunks *known, uint64_t key,
		      uint64_t end)
{
	struct piece one = {key & -(uint64_t)GLIBC_ALIGN, end, key & (GLIBC_ALIGN - 1)};
	bool cached = false;

	if (one.kind == PIECE_DOUBT) {
		piece(relay, &one);
		return;
	}
	if (one.kind == PIECE_USED && is_next(&known->fast, known->fast_end, one.start))
		one.kind = PIECE_FAST;
	if (one.kind == PIECE_USED)
		cached = is_next(&known->cached, known->cached_end, one.start);
	relay->error = relay->visitor->piece(relay->visitor->context, &one, cached);
}

static void visit_list(struct relay *relay, const struct gather_list *list)
{
	const struct heap *heap = relay->heap;
	const struct survey *survey = heap->survey;
	uint64_t from = list->count ? list->key[0] : 0;
	struct known_chunks known = {
		.fast_end = heap->fast + heap->fast_count,
		.cached_end = survey->cached + survey->cached_count,
	};

	known.fast = heap->fast + sort_lower_bound(heap->fast, heap->fast_count, from);
	known.cached = survey->cached +
		       sort_lower_bound(survey->cached, survey->cached_count, from);
	for (uint32_t i = 0; i < list->count && !relay->error; i++)
		visit_key(relay, &known, list->key[i],
			  i + 1 < list->count ? list->key[i + 1] & -(uint64_t)GLIBC_ALIGN
					      : list->end);
}

/* Each list is needed no longer when it was gone through. */
static void visit_lists(struct relay *relay, const struct owned_segment *segment,
			struct gather_list *list)
{
	const struct piece front = {segment->front, segment->segment.start, PIECE_OWN};

	begin(relay, segment);
	if (front.end > front.start && !relay->error)
		relay->error =
			relay->visitor->piece(relay->visitor->context, &front, false);
	for (; list; list = list->next) {
		visit_list(relay, list);
		gather_drop_pieces(list);
	}
	end(relay);
}

static int visit_segment(struct relay *relay, unsigned index)
{
	static const struct survey_visitor survey = {begin, piece, end, NULL};
	struct heap *heap = relay->heap;
	struct survey_visitor visitor = survey;
	struct gather_list *list = heap->gather ? gather_of(heap->gather, index) : NULL;

	visitor.context = relay;
	if (!list)
		return survey_segment(heap, index, 0, &visitor);
	visit_lists(relay, &heap->segment[index], list);
	return 0;
}

/* Where they could not be told from what looks like them, they are none. */
static void each_mapped(struct relay *relay)
{
	const struct heap *heap = relay->heap;
	const struct heap_piece_visitor *visitor = relay->visitor;

	for (unsigned i = 0; heap->mmapped_exact && i < heap->place_count; i++) {
		const struct mapped_place *place = &heap->places[i];
		const struct heap_segment visited = {
			.arena = (unsigned)BLOCKERS_ALL_ARENAS,
			.number = UINT_MAX,
			.end = place->start + place->bytes,
		};
		const struct piece chunk = {place->start, visited.end, PIECE_USED};

		if (!place->is_chunk || relay->error)
			continue;
		relay->error = visitor->begin(visitor->context, &visited);
		if (!relay->error)
			relay->error = visitor->piece(visitor->context, &chunk, false);
		if (!relay->error)
			relay->error = visitor->end(visitor->context);
	}
}

/* What malloc hands out lies in anonymous memory, as it was or has grown since. */
static void begin_gather(struct heap *heap, const struct heap_piece_visitor *visitor,
			 const struct regions *regions)
{
	if (visitor->words)
		*visitor->words = NULL;
	if (visitor->spare_bytes)
		heap->gather = gather_new(visitor->spare_bytes, heap->segment_capacity);
	if (visitor->words && heap->gather && regions->count)
		gather_want_words(heap->gather, regions->region[0].start,
				  regions->region[regions->count - 1].end + HEAP_GROWTH);
}

/* What is not all there is of no use: the visitor may need its memory. */
static void drop_part(struct heap *heap)
{
	if (!heap->gather || gather_is_whole(heap->gather))
		return;
	gather_free(heap->gather);
	heap->gather = NULL;
}

int heap_pieces(struct heap *heap, const struct regions *regions,
		const struct heap_piece_visitor *visitor, enum sample_status *status,
		char missing[SAMPLE_TEXT], uint64_t *doubt_bytes, struct fault *fault)
{
	struct relay relay = {.heap = heap, .visitor = visitor};
	unsigned segments;
	int error;

	begin_gather(heap, visitor, regions);
	error = survey_begin(heap, regions);
	drop_part(heap);
	segments = error ? 0 : survey_order(heap, BLOCKERS_ALL_ARENAS);
	for (unsigned i = 0; i < segments && !error && !relay.error; i++)
		error = visit_segment(&relay, heap->survey->segment[i]);
	if (visitor->words && !error && !relay.error)
		*visitor->words = heap->gather;
	else
		gather_free(heap->gather);
	heap->gather = NULL;
	if (error)
		return heap_cannot_read(heap, error, fault);
	each_mapped(&relay);
	if (relay.error)
		return relay.error;
	*doubt_bytes = relay.doubt_bytes;
	*status = survey_status(heap, relay.doubt_bytes, relay.unread_bytes, missing);
	return 0;
}
