/* blockers.c: finds what keeps free memory from being given back: for each run of chunks
 * in use, what a trim could give back more without it. */
#include "glibc/free_parts.h"
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
	struct blocker all;
	struct blocker first; /* its first and last chunk alone */
	struct blocker last;
};

/* The page that the last piece ended on: whether free bytes lie on it, and the chunks in
 * use on it that are not counted yet. */
struct shared_page {
	uint64_t number;
	bool has_free;
	uint64_t chunks;
	uint64_t bytes;
};

/* The runs of a segment alternate: a free one, one in use, and the one being read. */
struct blocker_search {
	struct heap *heap;
	struct blockers *blockers;
	const struct owned_segment *segment;
	struct free_run before; /* of USED */
	struct used_run used;	/* none where it has no chunks */
	struct free_run after;	/* of USED, still growing */
	bool after_ends_fast;
	struct shared_page page;
	uint64_t unread_bytes;
	unsigned runs;	       /* in heap->survey->tail, a ring, since the last barrier */
	struct blockers steps; /* scratch: the tail of one arena */
};

static unsigned page_shift(const struct blocker_search *search)
{
	return search->heap->memory->page_shift;
}

static uint64_t resident(const struct blocker_search *search, uint64_t from, uint64_t to)
{
	return from < to ? pages_resident_bytes(search->heap->pages, from, to) : 0;
}

static bool is_none(const struct free_run *run)
{
	return run->start == run->end;
}

/* ---- chunks that share a page with free bytes ---- */

static void count_page(struct blocker_search *search)
{
	struct shared_page *page = &search->page;

	if (page->has_free) {
		search->blockers->pinning_chunks += page->chunks;
		search->blockers->pinning_bytes += page->bytes;
		page->chunks = page->bytes = 0;
	}
}

static void turn_to(struct blocker_search *search, uint64_t addr)
{
	uint64_t number = addr >> page_shift(search);

	if (number != search->page.number)
		search->page = (struct shared_page){.number = number};
}

static void has_free_at(struct blocker_search *search, uint64_t addr)
{
	turn_to(search, addr);
	search->page.has_free = true;
	count_page(search);
}

/* A chunk may lie on two pages that count, and is counted once. */
static void has_used_at(struct blocker_search *search, uint64_t start, uint64_t end)
{
	struct shared_page *page = &search->page;
	bool is_counted;

	turn_to(search, start);
	page->chunks++;
	page->bytes += end - start;
	is_counted = page->has_free;
	count_page(search);
	if ((end - 1) >> page_shift(search) == page->number)
		return;
	turn_to(search, end - 1);
	page->chunks = !is_counted;
	page->bytes = is_counted ? 0 : end - start;
}

/* ---- what would come free ---- */

static struct free_parts parts_of(const struct blocker_search *search, uint64_t start,
				  uint64_t end, bool has_top)
{
	const struct owned_segment *segment = search->segment;
	uint64_t unit = search->heap->work[segment->arena].walk.trim_unit_bytes;

	if (!has_top)
		return free_parts_of_run(page_shift(search), start, end);
	return free_parts_of_top(page_shift(search),
				 end < segment->segment.end ? 0 : unit, start, end);
}

/* What BLOCKER's chunks keep: the free run LEFT before them and RIGHT behind them would
 * be one with them. Of what both give back now, whole pages, the new run gives back all,
 * but for a right one that is the top of a non-main heap. */
static void weigh(const struct blocker_search *search, struct blocker *blocker,
		  const struct free_run *left, const struct free_run *right)
{
	uint64_t end = blocker->addr + blocker->bytes;
	struct free_parts joined =
		parts_of(search, is_none(left) ? blocker->addr : left->start,
			 is_none(right) ? end : right->end, right->has_top);
	uint64_t own_from = blocker->addr > joined.from ? blocker->addr : joined.from;
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
	blocker->unlocked_bytes = resident(search, from, to);
	blocker->unlocked_bytes -=
		blocker->unlocked_bytes < now ? blocker->unlocked_bytes : now;
	own = resident(search, own_from, own_to);
	if (blocker->unlocked_bytes > own)
		blocker->unlocked_free_bytes = blocker->unlocked_bytes - own;
}

static bool is_better(const struct blocker *a, const struct blocker *b)
{
	double left = (double)a->unlocked_free_bytes * b->chunks;
	double right = (double)b->unlocked_free_bytes * a->chunks;

	return left > right ||
	       (left == right && a->unlocked_free_bytes > b->unlocked_free_bytes);
}

static void offer(struct blockers *blockers, const struct blocker *blocker)
{
	unsigned i = blockers->best_count;

	if (!blocker->unlocked_free_bytes)
		return;
	if (i == BLOCKERS_BEST && !is_better(blocker, &blockers->best[--i]))
		return;
	for (; i && is_better(blocker, &blockers->best[i - 1]); i--)
		blockers->best[i] = blockers->best[i - 1];
	blockers->best[i] = *blocker;
	if (blockers->best_count < BLOCKERS_BEST)
		blockers->best_count++;
}

static void keep_for_tail(struct blocker_search *search)
{
	struct free_run *before = &search->before;
	struct tail_run *run = &search->heap->survey->tail[search->runs++ % TAIL_RUNS];

	*run = (struct tail_run){
		.blocker = search->used.all,
		.from = is_none(before) ? search->used.all.addr : before->start,
		.free_bytes = before->end - before->start,
		.free_resident_bytes = resident(search, before->start, before->end),
	};
}

/* The run in use lies between two free ones, or what is none: all is known of it. */
static void end_used(struct blocker_search *search)
{
	static const struct free_run none;
	struct used_run *used = &search->used;
	const struct blocker *best = &used->all;

	if (!used->all.chunks)
		return;
	weigh(search, &used->all, &search->before, &search->after);
	if (used->all.chunks > 1 && !is_none(&search->before)) {
		weigh(search, &used->first, &search->before, &none);
		best = is_better(&used->first, best) ? &used->first : best;
	}
	if (used->all.chunks > 1 && !is_none(&search->after)) {
		weigh(search, &used->last, &none, &search->after);
		best = is_better(&used->last, best) ? &used->last : best;
	}
	if (!is_none(&search->before) || !is_none(&search->after))
		offer(search->blockers, best);
	keep_for_tail(search);
	used->all.chunks = 0;
}

/* The free run is complete. */
static void end_free(struct blocker_search *search)
{
	struct free_run *run = &search->after;

	if (is_none(run))
		return;
	run->parts = parts_of(search, run->start, run->end, run->has_top);
	run->trimmable_bytes = resident(search, run->parts.from, run->parts.to);
	search->blockers->pinned_bytes +=
		resident(search, run->start, run->parts.shared) +
		resident(search, run->parts.to, run->end);
	if (!run->has_top && run->end & ((UINT64_C(1) << page_shift(search)) - 1))
		has_free_at(search, run->end);
	end_used(search);
	search->before = *run;
	*run = (struct free_run){0};
}

/* ---- the tail ---- */

static void add_step(struct blockers *blockers, const struct blockers_step *step)
{
	if (blockers->step_count < BLOCKERS_STEPS)
		blockers->step[blockers->step_count++] = *step;
	else
		blockers->step[BLOCKERS_STEPS - 1] = *step;
}

/* Goes down from the top, run by run. */
static void find_steps(struct blocker_search *search, struct blockers *tail)
{
	struct blockers_step step = {0}, most = {0};
	uint64_t wanted = TAIL_LEAST_BYTES;
	unsigned count = search->runs < TAIL_RUNS ? search->runs : TAIL_RUNS;

	for (unsigned i = 1; i <= count; i++) {
		const struct tail_run *run =
			&search->heap->survey->tail[(search->runs - i) % TAIL_RUNS];

		if (i <= BLOCKERS_BEST)
			tail->tail[tail->tail_count++] = run->blocker;
		step.from = run->from;
		step.chunks += run->blocker.chunks;
		step.bytes += run->blocker.bytes;
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
static void end_with_top(struct blocker_search *search, const struct piece *top)
{
	struct blockers *blockers = search->blockers, *tail = &search->steps;
	uint64_t most = 0;

	tail->tail_count = tail->step_count = 0;
	find_steps(search, tail);
	if (!tail->step_count)
		return;
	if (blockers->step_count)
		most = blockers->step[blockers->step_count - 1].hole_resident_bytes;
	if (tail->step[tail->step_count - 1].hole_resident_bytes <= most)
		return;
	blockers->tail_arena = search->segment->arena;
	blockers->tail_top_bytes = top->end - top->start;
	blockers->step_count = tail->step_count;
	memcpy(blockers->step, tail->step, sizeof(blockers->step));
	blockers->tail_count = tail->tail_count;
	memcpy(blockers->tail, tail->tail, sizeof(blockers->tail));
}

/* ---- pieces ---- */

static void take_used(struct blocker_search *search, const struct piece *piece)
{
	struct used_run *used = &search->used;
	struct blocker chunk = {
		.addr = piece->start,
		.bytes = piece->end - piece->start,
		.chunks = 1,
		.cached_chunks = survey_is_cached(search->heap->survey, piece->start),
		.arena = search->segment->arena,
	};

	end_free(search);
	has_used_at(search, piece->start, piece->end);
	used->last = chunk;
	if (!used->all.chunks) {
		used->all = used->first = chunk;
		return;
	}
	used->all.bytes += chunk.bytes;
	used->all.chunks++;
	used->all.cached_chunks += chunk.cached_chunks;
}

static void take_free(struct blocker_search *search, const struct piece *piece)
{
	struct free_run *run = &search->after;
	bool is_top = piece->kind == PIECE_TOP;

	/* A trim makes fastbin chunks one with the top, but no others lie before it. */
	if (is_top && !search->after_ends_fast)
		end_free(search);
	if (is_none(run)) {
		run->start = piece->start;
		has_free_at(search, piece->start);
	}
	run->end = piece->end;
	run->has_top = is_top;
	search->after_ends_fast = piece->kind == PIECE_FAST;
}

/* What is neither in use nor free: nothing beyond it can be one with what is before. */
static void take_barrier(struct blocker_search *search)
{
	end_free(search);
	end_used(search);
	search->before = (struct free_run){0};
	search->runs = 0;
}

static void take_doubt(struct blocker_search *search, const struct piece *piece)
{
	uint64_t unread =
		pages_swapped_bytes(search->heap->pages, piece->start, piece->end);

	search->unread_bytes += unread;
	search->blockers->in_doubt_bytes += piece->end - piece->start - unread;
}

static void begin(void *context, const struct owned_segment *segment)
{
	struct blocker_search *search = context;

	search->segment = segment;
	search->before = search->after = (struct free_run){0};
	search->used.all.chunks = 0;
	search->page = (struct shared_page){.number = 0};
	search->runs = 0;
}

static bool take_piece(void *context, const struct piece *piece)
{
	struct blocker_search *search = context;

	switch (piece->kind) {
	case PIECE_USED:
		take_used(search, piece);
		break;
	case PIECE_FREE:
	case PIECE_FAST:
		take_free(search, piece);
		break;
	case PIECE_TOP:
		take_free(search, piece);
		end_free(search);
		end_with_top(search, piece);
		break;
	default:
		if (piece->kind == PIECE_DOUBT)
			take_doubt(search, piece);
		take_barrier(search);
	}
	return true;
}

static void end(void *context)
{
	take_barrier(context);
}

/* Two visitors, one after the other. */
struct both {
	struct survey_visitor search;
	const struct survey_visitor *also;
};

static void begin_both(void *context, const struct owned_segment *segment)
{
	const struct both *both = context;

	both->search.begin(both->search.context, segment);
	both->also->begin(both->also->context, segment);
}

static bool take_both(void *context, const struct piece *piece)
{
	const struct both *both = context;

	both->search.piece(both->search.context, piece);
	both->also->piece(both->also->context, piece);
	return true;
}

static void end_both(void *context)
{
	const struct both *both = context;

	both->search.end(both->search.context);
	both->also->end(both->also->context);
}

int survey_blockers(struct heap *heap, struct blockers *blockers,
		    const struct survey_visitor *also)
{
	struct blocker_search search = {.heap = heap, .blockers = blockers};
	struct both both = {{begin, take_piece, end, &search}, also};
	const struct survey_visitor visitor = {begin_both, take_both, end_both, &both};
	unsigned segments = survey_order(heap, blockers->arena);
	int error = 0;

	for (unsigned i = 0; i < segments && !error; i++)
		error = survey_segment(heap, heap->survey->segment[i], 0,
				       also ? &visitor : &both.search);
	if (!error)
		blockers->status = survey_status(heap, blockers->in_doubt_bytes,
						 search.unread_bytes, blockers->missing);
	return error;
}

int heap_blockers(struct heap *heap, const struct regions *regions,
		  struct blockers *blockers, struct fault *fault)
{
	int error;

	if (blockers->arena != BLOCKERS_ALL_ARENAS &&
	    (blockers->arena < 0 || (unsigned)blockers->arena >= heap->arena_count))
		return fault_set(fault, EXIT_FAILED, -ENOENT, "there is no arena %d",
				 blockers->arena);
	error = survey_begin(heap, regions);
	if (!error)
		error = survey_blockers(heap, blockers, NULL);
	return error ? heap_cannot_read(heap, error, fault) : 0;
}
