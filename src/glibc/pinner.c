/* pinner.c: finds what keeps free memory from being given back: for each run of chunks in
 * use, what a trim could give back more without it. */
#include "glibc/survey.h"

#include <errno.h>
#include <string.h>

enum { TAIL_LEAST_BYTES = 64 << 10 };

/* Free chunks side by side; none where START equals END. */
struct free_run {
	uint64_t start;
	uint64_t end;
	bool has_top;
	struct free_parts parts;
	uint64_t trimmable_bytes;
};

/* Chunks in use side by side. */
struct used_run {
	struct pin all;
	struct pin first; /* its first and last chunk alone */
	struct pin last;
};

/* The page that the last piece ended on: whether free bytes lie on it, and the chunks in
 * use on it that are not counted yet. */
struct shared_page {
	uint64_t number;
	bool has_free;
	uint64_t chunks;
	uint64_t bytes;
};

/* The runs of an area alternate: a free one, one in use, and the one being read. */
struct pinner {
	struct heap *heap;
	struct pins *pins;
	const struct owned_area *area;
	struct free_run before; /* of USED */
	struct used_run used;	/* none where it has no chunks */
	struct free_run after;	/* of USED, still growing */
	bool after_ends_fast;
	struct shared_page page;
	uint64_t unread_bytes;
	unsigned runs;	   /* in heap->survey->tail, a ring, since the last barrier */
	struct pins steps; /* scratch: the tail of one arena */
};

static unsigned page_shift(const struct pinner *pinner)
{
	return pinner->heap->memory->page_shift;
}

static uint64_t resident(const struct pinner *pinner, uint64_t from, uint64_t to)
{
	return from < to ? pages_resident_bytes(pinner->heap->pages, from, to) : 0;
}

static bool is_none(const struct free_run *run)
{
	return run->start == run->end;
}

/* ---- chunks that share a page with free bytes ---- */

static void count_page(struct pinner *pinner)
{
	struct shared_page *page = &pinner->page;

	if (page->has_free) {
		pinner->pins->pinning_chunks += page->chunks;
		pinner->pins->pinning_bytes += page->bytes;
		page->chunks = page->bytes = 0;
	}
}

static void turn_to(struct pinner *pinner, uint64_t addr)
{
	uint64_t number = addr >> page_shift(pinner);

	if (number != pinner->page.number)
		pinner->page = (struct shared_page){.number = number};
}

static void has_free_at(struct pinner *pinner, uint64_t addr)
{
	turn_to(pinner, addr);
	pinner->page.has_free = true;
	count_page(pinner);
}

/* A chunk may lie on two pages that count, and is counted once. */
static void has_used_at(struct pinner *pinner, uint64_t start, uint64_t end)
{
	struct shared_page *page = &pinner->page;
	bool is_counted;

	turn_to(pinner, start);
	page->chunks++;
	page->bytes += end - start;
	is_counted = page->has_free;
	count_page(pinner);
	if ((end - 1) >> page_shift(pinner) == page->number)
		return;
	turn_to(pinner, end - 1);
	page->chunks = !is_counted;
	page->bytes = is_counted ? 0 : end - start;
}

/* ---- what would come free ---- */

static struct free_parts parts_of(const struct pinner *pinner, uint64_t start,
				  uint64_t end, bool has_top)
{
	const struct owned_area *area = pinner->area;
	uint64_t unit = pinner->heap->work[area->arena].walk.trim_unit_bytes;

	if (!has_top)
		return walk_run_parts(page_shift(pinner), start, end);
	return walk_top_parts(page_shift(pinner), end < area->area.end ? 0 : unit, start,
			      end);
}

/* What PIN's chunks keep: the free run LEFT before them and RIGHT behind them would be
 * one with them. Of what both give back now, whole pages, the new run gives back all, but
 * for a right one that is the top of a secondary heap. */
static void weigh(const struct pinner *pinner, struct pin *pin,
		  const struct free_run *left, const struct free_run *right)
{
	uint64_t end = pin->addr + pin->bytes;
	struct free_parts joined =
		parts_of(pinner, is_none(left) ? pin->addr : left->start,
			 is_none(right) ? end : right->end, right->has_top);
	uint64_t own_from = pin->addr > joined.from ? pin->addr : joined.from;
	uint64_t own_to = end < joined.to ? end : joined.to;
	uint64_t from = joined.from, to = joined.to, own, now = 0;

	/* The pages between those that are given back already suffice. */
	if (left->parts.from < left->parts.to && from == left->parts.from)
		from = left->parts.to;
	else
		now += left->trimmable_bytes;
	if (right->parts.from < right->parts.to && to == right->parts.to)
		to = right->parts.from;
	else
		now += right->trimmable_bytes;
	pin->unlocked_bytes = resident(pinner, from, to);
	pin->unlocked_bytes -= pin->unlocked_bytes < now ? pin->unlocked_bytes : now;
	own = resident(pinner, own_from, own_to);
	if (pin->unlocked_bytes > own)
		pin->unlocked_free_bytes = pin->unlocked_bytes - own;
}

static bool is_better(const struct pin *a, const struct pin *b)
{
	double left = (double)a->unlocked_free_bytes * b->chunks;
	double right = (double)b->unlocked_free_bytes * a->chunks;

	return left > right ||
	       (left == right && a->unlocked_free_bytes > b->unlocked_free_bytes);
}

static void offer(struct pins *pins, const struct pin *pin)
{
	unsigned i = pins->best_count;

	if (!pin->unlocked_free_bytes)
		return;
	if (i == PINS_BEST && !is_better(pin, &pins->best[--i]))
		return;
	for (; i && is_better(pin, &pins->best[i - 1]); i--)
		pins->best[i] = pins->best[i - 1];
	pins->best[i] = *pin;
	if (pins->best_count < PINS_BEST)
		pins->best_count++;
}

static void keep_for_tail(struct pinner *pinner)
{
	struct free_run *before = &pinner->before;
	struct tail_run *run = &pinner->heap->survey->tail[pinner->runs++ % TAIL_RUNS];

	*run = (struct tail_run){
		.pin = pinner->used.all,
		.from = is_none(before) ? pinner->used.all.addr : before->start,
		.free_bytes = before->end - before->start,
		.free_resident_bytes = resident(pinner, before->start, before->end),
	};
}

/* The run in use lies between two free ones, or what is none: all is known of it. */
static void end_used(struct pinner *pinner)
{
	static const struct free_run none;
	struct used_run *used = &pinner->used;
	const struct pin *best = &used->all;

	if (!used->all.chunks)
		return;
	weigh(pinner, &used->all, &pinner->before, &pinner->after);
	if (used->all.chunks > 1 && !is_none(&pinner->before)) {
		weigh(pinner, &used->first, &pinner->before, &none);
		best = is_better(&used->first, best) ? &used->first : best;
	}
	if (used->all.chunks > 1 && !is_none(&pinner->after)) {
		weigh(pinner, &used->last, &none, &pinner->after);
		best = is_better(&used->last, best) ? &used->last : best;
	}
	if (!is_none(&pinner->before) || !is_none(&pinner->after))
		offer(pinner->pins, best);
	keep_for_tail(pinner);
	used->all.chunks = 0;
}

/* The free run is complete. */
static void end_free(struct pinner *pinner)
{
	struct free_run *run = &pinner->after;

	if (is_none(run))
		return;
	run->parts = parts_of(pinner, run->start, run->end, run->has_top);
	run->trimmable_bytes = resident(pinner, run->parts.from, run->parts.to);
	pinner->pins->pinned_bytes += resident(pinner, run->start, run->parts.shared) +
				      resident(pinner, run->parts.to, run->end);
	if (!run->has_top && run->end & ((UINT64_C(1) << page_shift(pinner)) - 1))
		has_free_at(pinner, run->end);
	end_used(pinner);
	pinner->before = *run;
	*run = (struct free_run){0};
}

/* ---- the tail ---- */

static void add_step(struct pins *pins, const struct pins_step *step)
{
	if (pins->step_count < PINS_STEPS)
		pins->step[pins->step_count++] = *step;
	else
		pins->step[PINS_STEPS - 1] = *step;
}

/* Goes down from the chunk TOP, run by run. */
static void find_steps(struct pinner *pinner, uint64_t top, struct pins *tail)
{
	/* The run that ends with the top has fastbin chunks before it, or none. */
	struct pins_step step = {
		.hole_bytes = top - pinner->before.start,
		.hole_resident_bytes = resident(pinner, pinner->before.start, top),
	};
	struct pins_step most = {0};
	uint64_t wanted = TAIL_LEAST_BYTES;
	unsigned count = pinner->runs < TAIL_RUNS ? pinner->runs : TAIL_RUNS;

	for (unsigned i = 1; i <= count; i++) {
		const struct tail_run *run =
			&pinner->heap->survey->tail[(pinner->runs - i) % TAIL_RUNS];

		if (i <= PINS_BEST)
			tail->tail[tail->tail_count++] = run->pin;
		step.from = run->from;
		step.chunks += run->pin.chunks;
		step.bytes += run->pin.bytes;
		step.hole_bytes += run->free_bytes;
		step.hole_resident_bytes += run->free_resident_bytes;
		if (step.hole_resident_bytes > most.hole_resident_bytes)
			most = step;
		if (step.hole_resident_bytes < wanted)
			continue;
		add_step(tail, &step);
		wanted = 2 * step.hole_resident_bytes;
	}
	if (tail->step_count &&
	    most.hole_resident_bytes >
		    tail->step[tail->step_count - 1].hole_resident_bytes)
		add_step(tail, &most);
}

/* The arena's tail, if more would come free of it than of the one before. */
static void end_with_top(struct pinner *pinner, const struct piece *top)
{
	struct pins *pins = pinner->pins, *tail = &pinner->steps;
	uint64_t most = 0;

	tail->tail_count = tail->step_count = 0;
	find_steps(pinner, top->start, tail);
	if (!tail->step_count)
		return;
	if (pins->step_count)
		most = pins->step[pins->step_count - 1].hole_resident_bytes;
	if (tail->step[tail->step_count - 1].hole_resident_bytes <= most)
		return;
	pins->tail_arena = pinner->area->arena;
	pins->tail_top_bytes = top->end - top->start;
	pins->step_count = tail->step_count;
	memcpy(pins->step, tail->step, sizeof(pins->step));
	pins->tail_count = tail->tail_count;
	memcpy(pins->tail, tail->tail, sizeof(pins->tail));
}

/* ---- pieces ---- */

static void take_used(struct pinner *pinner, const struct piece *piece)
{
	struct used_run *used = &pinner->used;
	struct pin chunk = {
		.addr = piece->start,
		.bytes = piece->end - piece->start,
		.chunks = 1,
		.cached_chunks = survey_is_cached(pinner->heap->survey, piece->start),
		.arena = pinner->area->arena,
	};

	end_free(pinner);
	has_used_at(pinner, piece->start, piece->end);
	used->last = chunk;
	if (!used->all.chunks) {
		used->all = used->first = chunk;
		return;
	}
	used->all.bytes += chunk.bytes;
	used->all.chunks++;
	used->all.cached_chunks += chunk.cached_chunks;
}

static void take_free(struct pinner *pinner, const struct piece *piece)
{
	struct free_run *run = &pinner->after;
	bool is_top = piece->kind == PIECE_TOP;

	/* A trim makes fastbin chunks one with the top, but no others lie before it. */
	if (is_top && !pinner->after_ends_fast)
		end_free(pinner);
	if (is_none(run)) {
		run->start = piece->start;
		has_free_at(pinner, piece->start);
	}
	run->end = piece->end;
	run->has_top = is_top;
	pinner->after_ends_fast = piece->kind == PIECE_FAST;
}

/* What is neither in use nor free: nothing beyond it can be one with what is before. */
static void take_barrier(struct pinner *pinner)
{
	end_free(pinner);
	end_used(pinner);
	pinner->before = (struct free_run){0};
	pinner->runs = 0;
}

static void take_doubt(struct pinner *pinner, const struct piece *piece)
{
	uint64_t unread =
		pages_swapped_bytes(pinner->heap->pages, piece->start, piece->end);

	pinner->unread_bytes += unread;
	pinner->pins->in_doubt_bytes += piece->end - piece->start - unread;
}

static void begin(void *context, const struct owned_area *area)
{
	struct pinner *pinner = context;

	pinner->area = area;
	pinner->before = pinner->after = (struct free_run){0};
	pinner->used.all.chunks = 0;
	pinner->page = (struct shared_page){.number = 0};
	pinner->runs = 0;
}

static bool take_piece(void *context, const struct piece *piece)
{
	struct pinner *pinner = context;

	switch (piece->kind) {
	case PIECE_USED:
		take_used(pinner, piece);
		break;
	case PIECE_FREE:
	case PIECE_FAST:
		take_free(pinner, piece);
		break;
	case PIECE_TOP:
		take_free(pinner, piece);
		end_free(pinner);
		end_with_top(pinner, piece);
		break;
	default:
		if (piece->kind == PIECE_DOUBT)
			take_doubt(pinner, piece);
		take_barrier(pinner);
	}
	return true;
}

static void end(void *context)
{
	take_barrier(context);
}

/* Two visitors, one after the other. */
struct both {
	struct survey_visitor pinner;
	const struct survey_visitor *also;
};

static void begin_both(void *context, const struct owned_area *area)
{
	const struct both *both = context;

	both->pinner.begin(both->pinner.context, area);
	both->also->begin(both->also->context, area);
}

static bool take_both(void *context, const struct piece *piece)
{
	const struct both *both = context;

	both->pinner.piece(both->pinner.context, piece);
	both->also->piece(both->also->context, piece);
	return true;
}

static void end_both(void *context)
{
	const struct both *both = context;

	both->pinner.end(both->pinner.context);
	both->also->end(both->also->context);
}

int survey_pins(struct heap *heap, struct pins *pins, const struct survey_visitor *also)
{
	struct pinner pinner = {.heap = heap, .pins = pins};
	struct both both = {{begin, take_piece, end, &pinner}, also};
	const struct survey_visitor visitor = {begin_both, take_both, end_both, &both};
	unsigned areas = survey_order(heap, pins->arena);
	int error = 0;

	for (unsigned i = 0; i < areas && !error; i++)
		error = survey_area(heap, heap->survey->stretch[i], 0,
				    also ? &visitor : &both.pinner);
	if (!error)
		pins->status = survey_status(heap, pins->in_doubt_bytes,
					     pinner.unread_bytes, pins->missing);
	return error;
}

int heap_pins(struct heap *heap, const struct regions *regions, struct pins *pins,
	      struct fault *fault)
{
	int error;

	if (pins->arena != PINS_ALL_ARENAS &&
	    (pins->arena < 0 || (unsigned)pins->arena >= heap->arena_count))
		return fault_set(fault, EXIT_FAILED, -ENOENT, "there is no arena %d",
				 pins->arena);
	error = survey_begin(heap, regions);
	if (!error)
		error = survey_pins(heap, pins, NULL);
	return error ? heap_cannot_read(heap, error, fault) : 0;
}
