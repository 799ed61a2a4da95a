#include "glibc/pieces.h"

#include "glibc/mapped.h"
#include "glibc/survey.h"

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

/* Where they could not be told from what looks like them, they are none. */
static void each_mapped(struct relay *relay)
{
	const struct heap *heap = relay->heap;
	const struct heap_piece_visitor *visitor = relay->visitor;

	for (unsigned i = 0; heap->mmapped_exact && i < heap->place_count; i++) {
		const struct mapped_place *place = &heap->places[i];
		const struct heap_segment visited = {
			.arena = (unsigned)BLOCKERS_ALL_ARENAS,
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

int heap_pieces(struct heap *heap, const struct regions *regions,
		const struct heap_piece_visitor *visitor, enum sample_status *status,
		char missing[SAMPLE_TEXT], uint64_t *doubt_bytes, struct fault *fault)
{
	struct relay relay = {.heap = heap, .visitor = visitor};
	const struct survey_visitor survey = {begin, piece, end, &relay};
	int error = survey_begin(heap, regions);
	unsigned segments = error ? 0 : survey_order(heap, BLOCKERS_ALL_ARENAS);

	for (unsigned i = 0; i < segments && !error && !relay.error; i++)
		error = survey_segment(heap, heap->survey->segment[i], 0, &survey);
	if (error)
		return heap_cannot_read(heap, error, fault);
	each_mapped(&relay);
	if (relay.error)
		return relay.error;
	*doubt_bytes = relay.doubt_bytes;
	*status = survey_status(heap, relay.doubt_bytes, relay.unread_bytes, missing);
	return 0;
}
