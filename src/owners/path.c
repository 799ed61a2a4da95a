#include "owners/path.h"

#include "owners/frames.h"
#include "owners/types.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH = GROUP_DEPTH + 2 };

_Static_assert((int)LENGTH <= (int)TYPE_STEPS, "types are asked for all of a path");

/* The groups from the last step, GROUP, back to the first: so many. */
static unsigned trace(const struct reach *reach, uint32_t group, uint32_t path[LENGTH])
{
	unsigned length = 0;

	for (; reach->group[group].parent != NO_GROUP; group = reach->group[group].parent)
		if (length < LENGTH)
			path[length++] = group;
	return length;
}

/* Whether step I of a path of LENGTH steps, counted from the last, is left out. */
static bool is_left_out(unsigned i, unsigned length)
{
	unsigned skip = length > OWNER_STEPS ? length - OWNER_STEPS : 0;

	return i >= OWNER_STEPS / 2 && i < OWNER_STEPS / 2 + skip;
}

static void fill_step(const struct reach *reach, uint32_t number, struct owner_step *step)
{
	const struct group *group = &reach->group[number];

	*step = (struct owner_step){
		.chunks = group->chunks,
		.bytes = group->bytes,
		.from_bytes = group->from_bytes,
		.to_bytes = group->to_bytes,
		.pointers = group->pointers,
		.is_array = group->label == LABEL_ARRAY,
		.is_linked = group->is_linked,
		.offset = (uint64_t)(group->label & INT32_MAX) * sizeof(uint64_t),
	};
	if (group->chunks == 1)
		step->words = (group->bytes - sizeof(uint64_t)) / sizeof(uint64_t);
}

static const struct group *root_of(const struct reach *reach, uint32_t number)
{
	const struct group *group = &reach->group[number];

	while (group->parent != NO_GROUP)
		group = &reach->group[group->parent];
	return group;
}

static void fill_root(const struct reach *reach, uint32_t number, struct owner *owner)
{
	const struct group *root = root_of(reach, number);

	owner->root = (enum owner_root)root->root;
	if (root->label == NO_ROOT) {
		snprintf(owner->name, OWNER_NAME, "%s",
			 root->root == OWNER_FAR ? "something further up"
						 : "unreferenced");
		return;
	}
	owner->root_slots = roots_get(reach->scan->roots, root->label)->slots;
	roots_name(reach->scan->roots, root->label, owner->name, owner->where);
}

void path_fill(const struct reach *reach, uint32_t group, struct owner *owner)
{
	uint32_t path[LENGTH];
	unsigned length = trace(reach, group, path);

	fill_root(reach, group, owner);
	for (unsigned i = length; i-- > 0;) {
		if (is_left_out(i, length))
			owner->steps_left_out++;
		else
			fill_step(reach, path[i], &owner->step[owner->step_count++]);
	}
}

/* ---- types ---- */

/* What is asked of one file; and where the paths that begin on a stack do so. */
struct path_query {
	struct type_path path[OWNERS_MAX];
	unsigned owner[OWNERS_MAX];
	unsigned count;
	struct frame_place place[OWNERS_MAX]; /* ADDR is 0 of other paths */
};

/* Where the pointer is that the way to chunk I last goes through. */
static bool place_of(const struct reach *reach, uint32_t i, uint64_t *addr)
{
	const struct scan *scan = reach->scan;
	uint32_t parent = reach->parent[i];

	if (parent == NO_PARENT)
		return false;
	*addr = parent & (uint32_t)PARENT_ROOT
			? scan->root_edge[parent & ~(uint32_t)PARENT_ROOT].addr
			: edge_addr(scan->chunks, &scan->edge[parent]);
	return true;
}

/* How far behind its beginning the pointer to chunk I leads. */
static bool behind_of(const struct reach *reach, uint32_t i, uint64_t *behind)
{
	const struct scan *scan = reach->scan;
	uint64_t addr, value;

	if (!place_of(reach, i, &addr) ||
	    memory_fetch(scan->memory, scan->pages, addr, &value, sizeof(value)))
		return false;
	*behind = value - chunk_addr(scan->chunks, i) - CHUNK_HEADER;
	return *behind < USUAL_BYTES;
}

/* Where the pointer to chunk I, a group's sample, is in what the chunk before is. */
static bool offset_of(const struct reach *reach, uint32_t i, uint64_t *offset)
{
	const struct edge *edge;
	uint32_t parent = reach->parent[i];
	uint64_t behind;

	if (parent == NO_PARENT || parent & (uint32_t)PARENT_ROOT)
		return false;
	edge = &reach->scan->edge[parent];
	*offset = (uint64_t)edge->word * sizeof(uint64_t);
	if (edge_is_interior(edge->to) || !behind_of(reach, edge->from, &behind) ||
	    behind > *offset)
		return false;
	*offset -= behind;
	return true;
}

/* The place in a root that the way to group FIRST begins at, or null. */
static const struct root_edge *begin_path(const struct reach *reach, uint32_t first)
{
	uint32_t parent = reach->parent[reach->group[first].sample];
	const struct root_edge *edge;

	if (parent == NO_PARENT || !(parent & (uint32_t)PARENT_ROOT))
		return NULL;
	edge = &reach->scan->root_edge[parent & ~(uint32_t)PARENT_ROOT];
	return edge_is_interior(edge->to) ? NULL : edge;
}

/* The variable that EDGE is in; PLACE is what is known of it where that is a stack. */
static bool variable_of(const struct reach *reach, const struct root_edge *edge,
			const struct frame_place *place, struct root_variable *variable)
{
	if (place->addr)
		return place->frame.pc &&
		       roots_local(reach->scan->roots, place->addr, place->frame.pc,
				   place->frame.cfa, variable);
	return roots_variable(reach->scan->roots, edge->root, edge->addr, variable);
}

/* Whether the pointer is there still: the thread may have gone on. */
static bool is_there(const struct reach *reach, const struct root_edge *edge)
{
	const struct scan *scan = reach->scan;
	uint64_t value;

	return !memory_fetch(scan->memory, scan->pages, edge->addr, &value,
			     sizeof(value)) &&
	       value > chunk_addr(scan->chunks, edge_to(edge->to)) &&
	       value < chunk_addr(scan->chunks, edge_to(edge->to) + 1);
}

/* The frames that the paths of COUNT groups begin in, as far as they begin on a stack. */
static int find_frames(const struct reach *reach, const uint32_t *group, unsigned count,
		       const struct process *process, atomic_ulong *beats,
		       struct path_query *asked)
{
	const struct scan *scan = reach->scan;
	bool is_any = false;

	memset(asked->place, 0, sizeof(asked->place));
	for (unsigned i = 0; i < count; i++) {
		struct frame_place *place = &asked->place[i];
		uint32_t path[LENGTH];
		unsigned length = trace(reach, group[i], path);
		const struct root_edge *edge =
			length ? begin_path(reach, path[length - 1]) : NULL;

		if (!edge || !roots_stack(scan->roots, edge->root, &place->stack))
			continue;
		place->addr = edge->addr;
		/* Without a stack pointer nothing is looked for. */
		if (!is_there(reach, edge))
			place->stack.sp = 0;
		is_any |= place->stack.sp != 0;
	}
	return is_any ? frames_find(asked->place, count, process, scan->memory,
				    scan->pages, beats)
		      : 0;
}

static void ask(const struct reach *reach, const uint32_t *group, unsigned length,
		const struct root_variable *variable, struct type_path *path)
{
	*path = (struct type_path){
		.is_thread = variable->is_thread,
		.variable = variable->variable,
		.code = variable->code,
		.step[0].offset = variable->offset,
	};
	for (unsigned i = 0; i < length; i++) {
		const struct group *step = &reach->group[group[length - 1 - i]];

		if (i && !offset_of(reach, step->sample, &path->step[i].offset))
			return;
		path->step[i].bytes = step->from_bytes - sizeof(uint64_t);
		path->steps++;
	}
}

static void take_answer(const struct reach *reach, uint32_t group,
			const struct type_path *path, struct owner *owner)
{
	uint32_t groups[LENGTH];
	unsigned length = trace(reach, group, groups), at = 0;

	memcpy(owner->type, path->type, OWNER_TYPE);
	for (unsigned i = 0; i < length; i++)
		if (!is_left_out(length - 1 - i, length))
			memcpy(owner->step[at++].type, path->step[i].type, OWNER_TYPE);
}

/* The owners whose path begins in the file of MAPPING. */
static void ask_file(const struct reach *reach, const uint32_t *group, unsigned count,
		     const struct mapping *mapping, struct path_query *asked)
{
	asked->count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct root_variable variable;
		uint32_t path[LENGTH];
		unsigned length = trace(reach, group[i], path);
		const struct root_edge *edge =
			length ? begin_path(reach, path[length - 1]) : NULL;

		if (!edge || !variable_of(reach, edge, &asked->place[i], &variable) ||
		    variable.mapping != mapping)
			continue;
		ask(reach, path, length, &variable, &asked->path[asked->count]);
		asked->owner[asked->count++] = i;
	}
}

int path_types(const struct reach *reach, const uint32_t *group,
	       struct owner *const *owner, unsigned count, const struct process *process,
	       atomic_ulong *beats)
{
	struct path_query *asked = malloc(sizeof(*asked));
	const struct mapping *mapping;
	int error =
		asked ? find_frames(reach, group, count, process, beats, asked) : -ENOMEM;

	for (uint32_t n = 0; !error && (mapping = roots_file(reach->scan->roots, n));
	     n++) {
		ask_file(reach, group, count, mapping, asked);
		if (!asked->count ||
		    types_find(asked->path, asked->count, process, mapping, beats))
			continue;
		for (unsigned i = 0; i < asked->count; i++)
			take_answer(reach, group[asked->owner[i]], &asked->path[i],
				    owner[asked->owner[i]]);
	}
	free(asked);
	return error;
}
