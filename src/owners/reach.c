#include "owners/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROOT_ARRAY = 64,  /* places in one root from which it is a table */
	CHUNK_ARRAY = 32, /* the same of a chunk */
	DENSE_LEAST = 8,  /* pointers that fill half of a chunk make a table, too */
	SAMPLED_TABLE = 1 << 10, /* bytes */
	LINK_BYTES = 64 << 10,	 /* larger chunks are no links of a list */
	SAME_LABEL_DEPTH = 6,
	ROOT_LABEL = INT32_MIN, /* keeps places in roots apart from those in chunks */
	GROUPS_MAX = 1 << 20,
	PROGRESS_CHUNKS = 1 << 16,
	/* So far ahead things are brought near: of a chunk in the queue its entry of the
	 * edges, then these, then what they point to; and of the places in roots. */
	AHEAD = 8,
	AHEAD_EDGES = 4, /* of a chunk */
};

/* ---- groups ---- */

static uint32_t slot_of(const struct reach *reach, uint32_t parent, uint32_t label)
{
	uint64_t hash = ((uint64_t)parent << 32 | label) * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)((hash ^ hash >> 31) & ((1U << reach->hash_bits) - 1));
}

static void enter(struct reach *reach, uint32_t number)
{
	const struct group *group = &reach->group[number];
	uint32_t at = slot_of(reach, group->parent, group->label);

	while (reach->hash[at])
		at = (at + 1) & ((1U << reach->hash_bits) - 1);
	reach->hash[at] = number + 1;
}

static int make_room(struct reach *reach)
{
	struct chunks *chunks = reach->scan->chunks;
	uint32_t room = reach->group_room ? reach->group_room * 2 : 1024;
	size_t old = reach->group_room;
	int error;

	if (reach->groups < reach->group_room)
		return 0;
	error = chunks_grow(chunks, (void **)&reach->group, old * sizeof(*reach->group),
			    room * sizeof(*reach->group));
	if (!error)
		error = chunks_grow(chunks, (void **)&reach->hash,
				    2 * old * sizeof(uint32_t),
				    2 * (size_t)room * sizeof(uint32_t));
	if (error)
		return error;
	reach->group_room = room;
	reach->hash_bits = (uint32_t)__builtin_ctz(2 * room);
	memset(reach->hash, 0, 2 * (size_t)room * sizeof(uint32_t));
	for (uint32_t i = 0; i < reach->groups; i++)
		enter(reach, i);
	return 0;
}

/* The group of what LABEL in PARENT leads to: it is made when there is none. Negative:
 * -errno. */
static int64_t group_of(struct reach *reach, uint32_t parent, uint32_t label,
			enum owner_root root)
{
	uint32_t at;
	int error = make_room(reach);

	if (error)
		return error;
	at = slot_of(reach, parent, label);
	for (; reach->hash[at]; at = (at + 1) & ((1U << reach->hash_bits) - 1)) {
		const struct group *group = &reach->group[reach->hash[at] - 1];

		if (group->parent == parent && group->label == label &&
		    group->root == root)
			return reach->hash[at] - 1;
	}
	/* A root and what it points to are kept apart as long as there is memory. */
	if (reach->groups >= GROUPS_MAX && parent != NO_GROUP &&
	    reach->group[parent].parent != NO_GROUP)
		return parent;
	reach->hash[at] = reach->groups + 1;
	reach->group[reach->groups] = (struct group){
		.parent = parent,
		.label = label,
		.sample = NO_CHUNK,
		.root = (uint8_t)root,
		.depth = parent == NO_GROUP ? 0 : reach->group[parent].depth + 1,
		.is_interior = reach->interior,
	};
	return reach->groups++;
}

/* ---- the way to a chunk ---- */

static uint64_t bytes_of(const struct reach *reach, uint32_t i)
{
	return chunk_bytes(reach->scan->chunks, i);
}

static void reach_chunk(struct reach *reach, uint32_t i, uint32_t group, uint32_t parent)
{
	struct group *of = &reach->group[group];
	uint64_t bytes = bytes_of(reach, i);

	if (of->sample == NO_CHUNK) {
		of->sample = i;
		of->from_bytes = bytes;
	}
	of->chunks++;
	of->bytes += bytes;
	if (bytes < of->from_bytes)
		of->from_bytes = bytes;
	if (bytes > of->to_bytes)
		of->to_bytes = bytes;
	reach->of[i] = group;
	reach->parent[i] = parent;
	reach->queue[reach->queued++] = i;
}

static bool is_reached(const struct reach *reach, uint32_t i)
{
	return reach->of[i] != NO_GROUP;
}

/* Whether an edge counts now. */
static bool counts(const struct reach *reach, uint32_t to)
{
	return !is_reached(reach, edge_to(to)) &&
	       (reach->interior || !edge_is_interior(to));
}

/* Chunks of one size that point to each other, or chunk after chunk at the same place,
 * are one list or tree: one group. */
static bool is_link(const struct reach *reach, uint32_t from, uint32_t to, uint32_t label)
{
	const struct group *group = &reach->group[reach->of[from]];

	if (group->parent == NO_GROUP)
		return false;
	if (group->depth >= GROUP_DEPTH)
		return true;
	if (bytes_of(reach, from) == bytes_of(reach, to))
		return bytes_of(reach, from) <= LINK_BYTES;
	return group->depth >= SAME_LABEL_DEPTH && group->label == label;
}

/* Whether pointers in chunk FROM, POINTERS of them, are elements rather than members. */
static bool is_table(const struct reach *reach, uint32_t from, uint32_t pointers)
{
	return pointers > CHUNK_ARRAY ||
	       (pointers >= DENSE_LEAST &&
		pointers * 2 * sizeof(uint64_t) >=
			bytes_of(reach, from) - CHUNK_HEADER) ||
	       /* A sample has few of its pointers. */
	       (reach->scan->is_far && bytes_of(reach, from) >= SAMPLED_TABLE);
}

static int go_on_from(struct reach *reach, uint32_t from)
{
	const struct scan *scan = reach->scan;
	uint32_t first, count = scan_edges_of(scan, from, &first);
	bool table = is_table(reach, from, count);

	for (uint32_t i = first; i < first + count; i++) {
		uint32_t to = edge_to(scan->edge[i].to), group = reach->of[from];
		uint32_t label = table ? (uint32_t)LABEL_ARRAY : scan->edge[i].word;

		if (!counts(reach, scan->edge[i].to))
			continue;
		if (is_link(reach, from, to, label)) {
			reach->group[group].is_linked = true;
		} else {
			int64_t made =
				group_of(reach, group, label,
					 (enum owner_root)reach->group[group].root);

			if (made < 0)
				return (int)made;
			group = (uint32_t)made;
		}
		reach_chunk(reach, to, group, i);
	}
	return 0;
}

/* Brings near what is read for chunk TO when a pointer to it is followed. */
static void approach_chunk(const struct reach *reach, uint32_t to)
{
	__builtin_prefetch(&reach->of[to]);
	__builtin_prefetch(&reach->scan->chunks->key[to]);
}

/* Chunks lie in the queue as they were reached, which is all over the tables. */
static void approach(const struct reach *reach)
{
	const struct scan *scan = reach->scan;
	const uint32_t *queue = reach->queue + reach->next;
	uint32_t left = reach->queued - reach->next, first, count;

	if (left > 3 * AHEAD)
		__builtin_prefetch(&scan->first[queue[3 * AHEAD]]);
	if (left > 2 * AHEAD)
		__builtin_prefetch(&scan->edge[scan->first[queue[2 * AHEAD]]]);
	if (left <= AHEAD)
		return;
	count = scan_edges_of(scan, queue[AHEAD], &first);
	for (uint32_t i = 0; i < count && i < AHEAD_EDGES; i++)
		approach_chunk(reach, edge_to(scan->edge[first + i].to));
}

/* Whether chunk FROM of the queue may lead to more. */
static bool may_lead_on(const struct reach *reach, uint32_t from)
{
	return reach->next >= reach->again ||
	       reach->has_interior[from / 64] >> from % 64 & 1;
}

static int go_on(struct reach *reach)
{
	int error = 0;

	for (; reach->next < reach->queued && !error; reach->next++) {
		uint32_t from = reach->queue[reach->next];

		if (reach->next % PROGRESS_CHUNKS == 0)
			reach->progress(1, reach->context);
		if (!may_lead_on(reach, from))
			continue;
		approach(reach);
		error = go_on_from(reach, from);
	}
	return error;
}

/* Small chunks by their size: a variable may point to several nodes of one list or tree.
 */
static uint32_t root_label(const struct reach *reach, const struct root *root,
			   const struct root_edge *edge)
{
	uint64_t bytes = bytes_of(reach, edge_to(edge->to));

	if (root->kind == OWNER_MAPPING || root->slots > ROOT_ARRAY)
		return LABEL_ARRAY;
	if (bytes > LINK_BYTES)
		bytes = LINK_BYTES + edge->addr - root->addr;
	return (uint32_t)ROOT_LABEL | (uint32_t)bytes;
}

/* The roots in the order in which they are believed. Libc's own data come behind what the
 * program has on its stacks: they hardly ever lead to its structures, but the small
 * chunks that they point to keep words of what they were before. */
static const struct rank {
	enum owner_root kind;
	bool is_libc;
} ranks[] = {
	{OWNER_GLOBAL, false}, {OWNER_TLS, false},     {OWNER_STACK, false},
	{OWNER_GLOBAL, true},  {OWNER_MAPPING, false},
};

/* From all places of roots of RANK. */
static int from_rank(struct reach *reach, const struct rank *rank)
{
	const struct scan *scan = reach->scan;
	enum owner_root kind = rank->kind;

	if (!reach->root_edges[kind][reach->interior])
		return go_on(reach);
	for (uint32_t i = 0; i < scan->root_edges; i++) {
		const struct root_edge *edge = &scan->root_edge[i];
		const struct root *root = roots_get(scan->roots, edge->root);
		int64_t group;

		if (i + AHEAD < scan->root_edges)
			approach_chunk(reach, edge_to(edge[AHEAD].to));

		if (root->kind != kind || root->is_libc != rank->is_libc ||
		    !counts(reach, edge->to))
			continue;
		group = group_of(reach, NO_GROUP, edge->root, kind);
		if (group >= 0)
			group = group_of(reach, (uint32_t)group,
					 root_label(reach, root, edge), kind);
		if (group < 0)
			return (int)group;
		reach_chunk(reach, edge_to(edge->to), (uint32_t)group,
			    i | (uint32_t)PARENT_ROOT);
	}
	return go_on(reach);
}

static int from_roots(struct reach *reach)
{
	int error = 0;

	for (size_t i = 0; i < sizeof(ranks) / sizeof(*ranks) && !error; i++)
		error = from_rank(reach, &ranks[i]);
	return error;
}

static size_t bits_bytes(const struct reach *reach)
{
	return (reach->scan->chunks->count / 64 + 1) * sizeof(uint64_t);
}

/* Marks the chunks that have an interior pointer to one that is not reached by now. */
static int mark_interior(struct reach *reach)
{
	const struct scan *scan = reach->scan;
	size_t bytes = bits_bytes(reach);
	int error = chunks_grow(scan->chunks, (void **)&reach->has_interior, 0, bytes);

	if (error)
		return error;
	memset(reach->has_interior, 0, bytes);
	for (uint32_t i = 0; i < scan->edges; i++) {
		uint32_t from = scan->edge[i].from;

		if (edge_is_interior(scan->edge[i].to) &&
		    !is_reached(reach, edge_to(scan->edge[i].to)))
			reach->has_interior[from / 64] |= UINT64_C(1) << from % 64;
	}
	return 0;
}

/* Again, from what is reached by now, with interior pointers. */
static int through_interior(struct reach *reach)
{
	int error = mark_interior(reach);

	reach->interior = true;
	reach->again = reach->queued;
	reach->next = 0;
	return error ? error : from_roots(reach);
}

/* From chunk I, to which no way leads. */
static int from_chunk(struct reach *reach, uint32_t i, enum owner_root root)
{
	int64_t group = group_of(reach, NO_GROUP, NO_ROOT, root);

	/* By size: nothing else distinguishes them. */
	if (group >= 0)
		group = group_of(
			reach, (uint32_t)group,
			(uint32_t)ROOT_LABEL | (uint32_t)(bytes_of(reach, i) / 16), root);
	if (group < 0)
		return (int)group;
	reach_chunk(reach, i, (uint32_t)group, NO_PARENT);
	return go_on(reach);
}

/* What a sample was not followed beyond: FAR says which. */
static int from_far(struct reach *reach, uint8_t far)
{
	const struct scan *scan = reach->scan;
	int error = 0;

	for (uint32_t i = 0; scan->is_far && i < scan->chunks->count && !error; i++)
		if (scan->is_far[i] == far && !is_reached(reach, i))
			error = from_chunk(reach, i, OWNER_FAR);
	return error;
}

/* What nothing points to, and with it what only such chunks point to: first those that
 * begin such a structure, then rings. */
static int from_nowhere(struct reach *reach, bool rings)
{
	const struct chunks *chunks = reach->scan->chunks;
	int error = 0;

	for (uint32_t i = 0; i < chunks->count && !error; i++)
		if (chunk_is_live(chunks, i) && !is_reached(reach, i) &&
		    (rings || !reach->scan->refs[i]))
			error = from_chunk(reach, i, OWNER_UNREFERENCED);
	return error;
}

/* Those that are no interior pointers count always. */
static void count_root_edges(struct reach *reach)
{
	const struct scan *scan = reach->scan;

	for (uint32_t i = 0; i < scan->root_edges; i++) {
		const struct root_edge *edge = &scan->root_edge[i];
		bool is_interior = edge_is_interior(edge->to);

		reach->root_edges[roots_get(scan->roots, edge->root)->kind]
				 [is_interior]++;
	}
}

static size_t table_bytes(const struct chunks *chunks)
{
	return ((size_t)chunks->count + 1) * sizeof(uint32_t);
}

static int take_tables(struct reach *reach)
{
	struct chunks *chunks = reach->scan->chunks;
	size_t bytes = table_bytes(chunks);
	int error = chunks_grow(chunks, (void **)&reach->parent, 0, bytes);

	if (!error)
		error = chunks_grow(chunks, (void **)&reach->of, 0, bytes);
	if (!error)
		error = chunks_grow(chunks, (void **)&reach->queue, 0, bytes);
	if (error)
		return error;
	memset(reach->of, 0xff, bytes);
	memset(reach->parent, 0xff, bytes);
	return 0;
}

static void count_pointers(struct reach *reach)
{
	const struct scan *scan = reach->scan;

	for (uint32_t i = 0; i < scan->edges; i++)
		if (!edge_is_interior(scan->edge[i].to))
			reach->group[reach->of[scan->edge[i].from]].pointers++;
}

int reach_all(struct reach *reach, const struct scan *scan, owners_progress_fn *progress,
	      void *context)
{
	int error;

	*reach = (struct reach){.scan = scan, .progress = progress, .context = context};
	error = take_tables(reach);
	count_root_edges(reach);
	if (!error)
		error = from_roots(reach);
	if (!error)
		error = through_interior(reach);
	reach->interior = false;
	if (!error)
		error = from_far(reach, FAR_LAST);
	if (!error)
		error = from_far(reach, FAR_PERHAPS);
	if (!error)
		error = from_nowhere(reach, false);
	if (!error)
		error = from_nowhere(reach, true);
	if (!error)
		count_pointers(reach);
	return error;
}

void reach_free(struct reach *reach)
{
	struct chunks *chunks = reach->scan ? reach->scan->chunks : NULL;

	if (!chunks)
		return;
	chunks_drop(chunks, (void **)&reach->group,
		    reach->group_room * sizeof(*reach->group));
	chunks_drop(chunks, (void **)&reach->hash,
		    2 * (size_t)reach->group_room * sizeof(uint32_t));
	chunks_drop(chunks, (void **)&reach->has_interior, bits_bytes(reach));
	chunks_drop(chunks, (void **)&reach->parent, table_bytes(chunks));
	chunks_drop(chunks, (void **)&reach->of, table_bytes(chunks));
	chunks_drop(chunks, (void **)&reach->queue, table_bytes(chunks));
}

/* ---- sums ---- */

void reach_count(struct reach *reach, uint32_t i)
{
	struct group *group = &reach->group[reach->of[i]];

	group->asked_chunks++;
	group->asked_bytes += bytes_of(reach, i);
	if (reach->scan->refs[i] > 1)
		group->shared_chunks++;
}

/* A group is made after the one before it on the way. */
void reach_sum(struct reach *reach)
{
	for (uint32_t i = reach->groups; i-- > 0;) {
		const struct group *group = &reach->group[i];

		if (group->parent == NO_GROUP)
			continue;
		reach->group[group->parent].below_chunks +=
			group->chunks + group->below_chunks;
		reach->group[group->parent].below_bytes +=
			group->bytes + group->below_bytes;
		reach->group[group->parent].asked_below +=
			group->asked_chunks + group->asked_below;
	}
}

/* HASH, of twice as many entries as groups have room, is needed no longer. */
void reach_sort(struct reach *reach)
{
	const struct chunks *chunks = reach->scan->chunks;
	uint32_t *first = reach->hash, sum = 0;

	if (!reach->groups)
		return;
	first[0] = 0;
	for (uint32_t i = 0; i < reach->groups; i++) {
		first[i + 1] = sum;
		sum += (uint32_t)reach->group[i].chunks;
	}
	/* Each entry goes on to where the next group begins. */
	for (uint32_t i = 0; i < chunks->count; i++)
		if (is_reached(reach, i))
			reach->queue[first[reach->of[i] + 1]++] = i;
}

void reach_below(const struct reach *reach, uint32_t group, uint8_t *below)
{
	memset(below, 0, reach->groups);
	below[group] = 1;
	/* A group is made after the one before it on the way. */
	for (uint32_t i = group + 1; i < reach->groups; i++)
		below[i] = reach->group[i].parent != NO_GROUP &&
			   below[reach->group[i].parent];
}
