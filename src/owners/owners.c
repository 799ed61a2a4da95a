#include "owners/owners.h"

#include "base/units.h"
#include "owners/again.h"
#include "owners/path.h"
#include "owners/python.h"
#include "owners/sampled.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TWO_SIDED 1.96 /* 95% of a normal distribution */

enum {
	PAGE_BLOCKS = 1024,
	ROUNDS = 4,
	CONTAINS = 20, /* times as many chunks below: a container */
};

/* One search. */
struct owner_search {
	struct owners *owners;
	const struct owners_options *options;
	const struct process *process;
	struct memory *memory;
	struct pages *pages;
	atomic_ulong *beats;
	struct chunks chunks;
	struct chunks sampled; /* of these, where all are too many */
	uint8_t *is_far;       /* of SAMPLED */
	struct roots *roots;
	struct scan scan;
	struct reach reach;
	uint32_t rank[OWNERS_MAX]; /* groups */
	uint8_t *gone;		   /* a byte a chunk: what a forecast is about */
	uint8_t *below;		   /* a byte a group */
};

/* Those that are searched for: all, or a sample's. */
static const struct chunks *sought(const struct owner_search *search)
{
	return search->scan.chunks;
}

/* ---- what is asked for ---- */

static bool is_wanted(const struct owner_search *search, const struct segment *segment,
		      uint32_t i)
{
	const struct owners_options *options = search->options;
	uint64_t bytes = chunk_bytes(&search->chunks, i);

	if (options->at)
		return chunk_addr(&search->chunks, i) <= options->at &&
		       options->at < chunk_addr(&search->chunks, i + 1);
	return (options->live || search->chunks.key[i] & CHUNK_ASKED) &&
	       (options->arena == BLOCKERS_ALL_ARENAS ||
		segment->arena == (unsigned)options->arena) &&
	       bytes >= options->from_bytes && bytes <= options->to_bytes;
}

static void ask_segment(struct owner_search *search, const struct segment *segment)
{
	struct chunks *chunks = &search->chunks;
	struct owners *owners = search->owners;

	for (uint32_t i = segment->first; i < segment->first + segment->count; i++) {
		if (!chunk_is_live(chunks, i))
			continue;
		owners->live_chunks++;
		owners->live_bytes += chunk_bytes(chunks, i);
		if (!is_wanted(search, segment, i)) {
			chunks->key[i] &= ~(uint64_t)CHUNK_ASKED;
			continue;
		}
		chunks->key[i] |= CHUNK_ASKED;
		owners->asked_chunks++;
		owners->asked_bytes += chunk_bytes(chunks, i);
	}
}

static void ask(struct owner_search *search)
{
	search->owners->pinned_bytes = chunks_ask_pinning(&search->chunks, search->pages,
							  search->memory->page_shift);
	for (uint32_t i = 0; i < search->chunks.segment_count; i++)
		ask_segment(search, &search->chunks.segment[i]);
}

/* ---- the second look ---- */

static void count_chunk(struct owner_search *search, uint32_t i)
{
	struct owners *owners = search->owners;
	const struct group *group = &search->reach.group[search->reach.of[i]];
	uint64_t bytes = chunk_bytes(sought(search), i);

	reach_count(&search->reach, i);
	if (group->root >= OWNER_FAR)
		return;
	owners->rooted_chunks++;
	owners->rooted_bytes += bytes;
	if (group->is_interior)
		owners->interior_chunks++;
}

/* A pointer that does not point there any more was on its way, or the chunk is gone. */
static void on_chunk(uint32_t i, bool is_there, void *context)
{
	struct owner_search *search = context;

	if (is_there) {
		count_chunk(search, i);
		return;
	}
	search->owners->unsure_chunks++;
	if (search->owners->sampled_chunks) {
		search->owners->sampled_chunks--;
		return;
	}
	search->owners->asked_chunks--;
	search->owners->asked_bytes -= chunk_bytes(sought(search), i);
}

/* ---- what would come back ---- */

/* What else points to a chunk keeps it, but for the group's own. One round; whether
 * anything changed. */
static bool spare_shared(struct owner_search *search, uint32_t group)
{
	const struct scan *scan = &search->scan;
	uint8_t *gone = search->gone;
	bool changed = false;

	for (uint32_t i = 0; i < scan->edges; i++) {
		uint32_t to = edge_to(scan->edge[i].to);

		if (gone[to] && !gone[scan->edge[i].from] &&
		    search->reach.of[to] != group &&
		    !edge_is_interior(scan->edge[i].to)) {
			gone[to] = 0;
			changed = true;
		}
	}
	for (uint32_t i = 0; i < scan->root_edges; i++) {
		uint32_t to = edge_to(scan->root_edge[i].to);

		if (gone[to] && search->reach.of[to] != group &&
		    !edge_is_interior(scan->root_edge[i].to)) {
			gone[to] = 0;
			changed = true;
		}
	}
	return changed;
}

static void mark_gone(struct owner_search *search, uint32_t group)
{
	const struct reach *reach = &search->reach;

	for (uint32_t k = reach->hash[group]; k < reach->hash[group + 1]; k++)
		search->gone[reach->queue[k]] = 1;
}

/* The chunks of GROUP, and those that only they lead to. */
static void choose_gone(struct owner_search *search, uint32_t group)
{
	const struct reach *reach = &search->reach;
	const struct group *of = &reach->group[group];

	reach_below(reach, group, search->below);
	memset(search->gone, 0, search->chunks.count);
	for (uint32_t i = group; i < reach->groups; i++)
		if (search->below[i])
			mark_gone(search, i);
	for (unsigned round = 0; of->below_chunks && round < ROUNDS; round++)
		if (!spare_shared(search, group))
			break;
}

static void count_below(const struct owner_search *search, uint32_t group,
			struct owner *owner)
{
	const struct reach *reach = &search->reach;

	for (uint32_t k = reach->hash[group]; k < reach->hash[group + 1]; k++) {
		if (!search->gone[reach->queue[k]])
			continue;
		owner->below_chunks++;
		owner->below_bytes += chunk_bytes(&search->chunks, reach->queue[k]);
	}
}

static void foretell(struct owner_search *search, uint32_t group, struct owner *owner)
{
	const struct chunks *chunks = &search->chunks;

	choose_gone(search, group);
	for (uint32_t i = group + 1; i < search->reach.groups; i++)
		if (search->below[i])
			count_below(search, i, owner);
	owner->unlocked_bytes = chunks_unlocked(chunks, search->pages,
						search->memory->page_shift, search->gone);
}

/* ---- the answers ---- */

/* What makes a group worth an answer: each chunk that pins keeps a page or two, however
 * small it is; else it is bytes that count. */
static uint64_t weight(const struct owner_search *search, uint32_t group)
{
	const struct group *of = &search->reach.group[group];

	/* What it leads to is the answer. */
	if (of->asked_chunks * CONTAINS < of->asked_below)
		return 0;
	return search->options->live || search->options->at ? of->asked_bytes
							    : of->asked_chunks;
}

static void rank_groups(struct owner_search *search)
{
	struct owners *owners = search->owners;

	for (uint32_t i = 0; i < search->reach.groups; i++) {
		unsigned at = owners->count;

		if (!weight(search, i))
			continue;
		if (at == OWNERS_MAX) {
			owners->left_out++;
			if (weight(search, i) <= weight(search, search->rank[--at]))
				continue;
		} else {
			owners->count++;
		}
		for (; at && weight(search, search->rank[at - 1]) < weight(search, i);
		     at--)
			search->rank[at] = search->rank[at - 1];
		search->rank[at] = i;
	}
}

static int by_unlocked(const void *left, const void *right)
{
	const struct owner *a = left, *b = right;

	if (a->unlocked_bytes != b->unlocked_bytes)
		return a->unlocked_bytes < b->unlocked_bytes ? 1 : -1;
	return a->asked_bytes < b->asked_bytes	 ? 1
	       : a->asked_bytes > b->asked_bytes ? -1
						 : 0;
}

/* An answer and the group that it is about, to be sorted together. */
struct pair {
	struct owner owner; /* first: by_unlocked compares owners */
	uint32_t group;
};

/* The interval by Wilson's score, which holds for the few and the many, too. */
static void estimate(const struct owner_search *search, struct owner *owner)
{
	double all = (double)search->owners->sampled_chunks;
	double part = (double)owner->asked_chunks / all, z = TWO_SIDED;
	double middle = part + z * z / (2 * all), scale = 1 + z * z / all;
	double half = z * sqrt(part * (1 - part) / all + z * z / (4 * all * all));

	owner->share = part;
	owner->share_low = middle > half ? (middle - half) / scale : 0;
	owner->share_high = (middle + half) / scale;
}

static void fill_owner(struct owner_search *search, struct pair *pair)
{
	const struct group *group = &search->reach.group[pair->group];
	struct owner *owner = &pair->owner;

	path_fill(&search->reach, pair->group, owner);
	owner->is_interior = group->is_interior;
	owner->asked_chunks = group->asked_chunks;
	owner->asked_bytes = group->asked_bytes;
	owner->shared_chunks = group->shared_chunks;
	if (search->owners->sampled_chunks)
		estimate(search, owner);
	else
		foretell(search, pair->group, owner);
}

static int take_answers(struct owner_search *search, const struct pair *pair,
			uint64_t chunk[OWNERS_MAX])
{
	struct owners *owners = search->owners;
	struct owner *owner[OWNERS_MAX];
	uint32_t group[OWNERS_MAX];

	for (unsigned i = 0; i < owners->count; i++) {
		owners->owner[i] = pair[i].owner;
		owner[i] = &owners->owner[i];
		group[i] = pair[i].group;
		chunk[i] =
			chunk_addr(sought(search), search->reach.group[group[i]].sample);
	}
	return path_types(&search->reach, group, owner, owners->count, search->process,
			  search->beats);
}

static int fill_owners(struct owner_search *search, uint64_t chunk[OWNERS_MAX],
		       owners_progress_fn *progress, void *context)
{
	struct owners *owners = search->owners;
	struct pair *pair = calloc(OWNERS_MAX, sizeof(*pair));
	int error;

	search->gone = calloc(search->chunks.count + 1, 1);
	search->below = calloc(search->reach.groups + 1, 1);
	if (!pair || !search->gone || !search->below) {
		free(pair);
		return -ENOMEM;
	}
	pages_forget(search->pages);
	for (unsigned i = 0; i < owners->count; i++) {
		pair[i].group = search->rank[i];
		fill_owner(search, &pair[i]);
		progress(1, context);
	}
	if (!owners->sampled_chunks)
		qsort(pair, owners->count, sizeof(*pair), by_unlocked);
	error = take_answers(search, pair, chunk);
	free(pair);
	return error;
}

/* ---- the search ---- */

/* Of all chunks. */
static struct scan scan_of(struct owner_search *search)
{
	return (struct scan){
		.chunks = &search->chunks,
		.roots = search->roots,
		.memory = search->memory,
		.pages = search->pages,
		.threads = search->options->threads,
	};
}

/* The ways to all chunks of SEARCH->scan. */
static int find_ways(struct owner_search *search, owners_progress_fn *progress,
		     void *context)
{
	int error = scan_all(&search->scan, progress, context);

	search->owners->scanned_bytes = search->scan.bytes;
	for (unsigned i = 0; i < USUAL_BYTES; i++)
		search->owners->usual |= (uint64_t)search->scan.is_usual[i] << i;
	if (!error && search->process && roots_has_python(search->roots))
		error = python_roots(&search->scan, search->process, search->beats);
	return error ? error
		     : reach_all(&search->reach, &search->scan, progress, context);
}

/* The same without what the walks met: its memory may be all that lacks. */
static int find_again(struct owner_search *search, owners_progress_fn *progress,
		      void *context)
{
	reach_free(&search->reach);
	scan_free(&search->scan);
	chunks_drop_words(&search->chunks);
	search->scan = scan_of(search);
	roots_renumber(search->roots);
	return find_ways(search, progress, context);
}

/* The same of a sample, for which there is memory. */
static int find_some(struct owner_search *search, owners_progress_fn *progress,
		     void *context)
{
	struct owners *owners = search->owners;
	struct scan *scan = &search->scan;
	int error;

	reach_free(&search->reach);
	scan_free(scan);
	*scan = scan_of(search);
	roots_renumber(search->roots);
	search->sampled.limit_bytes = search->chunks.limit_bytes;
	search->sampled.used_bytes = search->chunks.used_bytes;
	error = sampled_take(&search->sampled, &search->is_far, scan,
			     owners->asked_chunks, &owners->sampled_chunks, progress,
			     context);
	if (error)
		return error;
	scan->chunks = &search->sampled;
	scan->is_far = search->is_far;
	return find_ways(search, progress, context);
}

static int make_roots(struct owner_search *search)
{
	return roots_new(&search->roots, search->process, &search->chunks, search->memory,
			 search->pages, search->beats);
}

static int find(struct owner_search *search, struct heap *heap,
		const struct regions *regions, owners_progress_fn *progress,
		void *context, struct fault *fault)
{
	struct owners *owners = search->owners;
	int error = chunks_read(&search->chunks, true, heap, regions, &owners->status,
				owners->missing, &owners->in_doubt_bytes, fault);

	if (error)
		return error;
	ask(search);
	error = make_roots(search);
	if (error == -ENOSPC && search->chunks.words) {
		chunks_drop_words(&search->chunks);
		roots_free(search->roots);
		error = make_roots(search);
	}
	/* With some of the roots only, what the others hold would seem to be lost. */
	if (error)
		return error;
	search->scan = scan_of(search);
	error = find_ways(search, progress, context);
	if (error == -ENOSPC && search->chunks.words)
		error = find_again(search, progress, context);
	if (error == -ENOSPC && owners->asked_chunks)
		error = find_some(search, progress, context);
	return error ? error : again_all(&search->reach, on_chunk, search);
}

static int say(const struct owner_search *search, int error, struct fault *fault)
{
	if (error == -ENOSPC)
		return fault_set(fault, EXIT_FAILED, error,
				 "the tables of this heap need more than %s: allow more "
				 "with --memory",
				 units_bytes_text(search->options->memory_bytes).s);
	if (error == -EAGAIN)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot start %u threads to search with: %s; --threads "
				 "1 starts none",
				 search->options->threads, strerror(-error));
	if (error && !fault->text[0])
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot search the memory of process %d (%s): %s",
				 search->process ? search->process->pid : 0,
				 search->process ? search->process->comm : "saved",
				 strerror(-error));
	return error;
}

int owners_find(struct owners *owners, uint64_t chunk[OWNERS_MAX],
		const struct owners_options *options, const struct process *process,
		struct heap *heap, const struct regions *regions, struct memory *memory,
		atomic_ulong *beats, owners_progress_fn *progress, void *context,
		struct fault *fault)
{
	struct owner_search search = {
		.owners = owners,
		.beats = beats,
		.options = options,
		.process = process,
		.memory = memory,
		.pages = pages_new(memory, PAGE_BLOCKS),
		.chunks = {.limit_bytes = options->memory_bytes},
	};
	int error = search.pages ? 0 : -ENOMEM;

	fault->text[0] = '\0';
	if (!error)
		error = find(&search, heap, regions, progress, context, fault);
	if (!error) {
		reach_sum(&search.reach);
		reach_sort(&search.reach);
		rank_groups(&search);
		error = fill_owners(&search, chunk, progress, context);
	}
	owners->table_bytes = search.sampled.used_bytes > search.chunks.used_bytes
				      ? search.sampled.used_bytes
				      : search.chunks.used_bytes;
	free(search.gone);
	free(search.below);
	reach_free(&search.reach);
	scan_free(&search.scan);
	roots_free(search.roots);
	free(search.is_far);
	chunks_free(&search.sampled);
	chunks_free(&search.chunks);
	pages_free(search.pages);
	return say(&search, error, fault);
}
