#include "glibc/gather.h"

#include <stdlib.h>

enum { FIRST_ROOM = 1 << 10 };

struct gather {
	_Atomic int64_t left_bytes;
	atomic_bool is_cut; /* something was not listed */
	struct gather_list *all;
	unsigned segments;
	struct {
		struct gather_list *first, *last;
	} segment[];
};

struct gather *gather_new(uint64_t limit_bytes, unsigned segments)
{
	struct gather *gather =
		calloc(1, sizeof(*gather) + segments * sizeof(*gather->segment));

	if (!gather)
		return NULL;
	gather->left_bytes = limit_bytes < INT64_MAX ? (int64_t)limit_bytes : INT64_MAX;
	gather->segments = segments;
	return gather;
}

void gather_free(struct gather *gather)
{
	struct gather_list *list = gather ? gather->all : NULL;

	while (list) {
		struct gather_list *other = list->other;

		free(list->key);
		free(list);
		list = other;
	}
	free(gather);
}

struct gather_list *gather_begin(struct gather *gather)
{
	struct gather_list *list;

	if (!gather || !gather_is_whole(gather))
		return NULL;
	list = calloc(1, sizeof(*list));
	if (!list) {
		atomic_store(&gather->is_cut, true);
		return NULL;
	}
	list->gather = gather;
	list->other = gather->all;
	gather->all = list;
	return list;
}

static bool grow(struct gather_list *list, uint64_t room)
{
	struct gather *gather = list->gather;
	int64_t more = (int64_t)((room - list->room) * sizeof(*list->key));
	uint64_t *key;

	if (atomic_fetch_sub(&gather->left_bytes, more) < more) {
		atomic_fetch_add(&gather->left_bytes, more);
		return false;
	}
	key = realloc(list->key, room * sizeof(*key));
	if (!key) {
		atomic_fetch_add(&gather->left_bytes, more);
		return false;
	}
	list->key = key;
	list->room = (uint32_t)room;
	return true;
}

bool gather_room(struct gather_list *list, uint64_t count)
{
	uint64_t room = list->room ? list->room : FIRST_ROOM;

	if (count <= list->room)
		return true;
	while (room < count)
		room *= 2;
	if (room <= UINT32_MAX && grow(list, room))
		return true;
	atomic_store(&list->gather->is_cut, true);
	return false;
}

void gather_keep(struct gather_list *list, unsigned segment, uint64_t count, uint64_t end)
{
	struct gather *gather = list ? list->gather : NULL;

	if (!gather || segment >= gather->segments)
		return;
	list->count = (uint32_t)count;
	list->end = end;
	if (gather->segment[segment].last)
		gather->segment[segment].last->next = list;
	else
		gather->segment[segment].first = list;
	gather->segment[segment].last = list;
}

void gather_drop(struct gather_list *list)
{
	if (!list)
		return;
	atomic_fetch_add(&list->gather->left_bytes,
			 (int64_t)(list->room * sizeof(*list->key)));
	free(list->key);
	list->key = NULL;
	list->next = NULL;
	list->count = list->room = 0;
}

void gather_drop_segment(struct gather *gather, unsigned segment)
{
	struct gather_list *list = gather ? gather_of(gather, segment) : NULL;

	while (list) {
		struct gather_list *next = list->next;

		gather_drop(list);
		list = next;
	}
	if (gather && segment < gather->segments)
		gather->segment[segment].first = gather->segment[segment].last = NULL;
}

void gather_drop_all(struct gather *gather)
{
	for (unsigned i = 0; gather && i < gather->segments; i++)
		gather_drop_segment(gather, i);
}

bool gather_is_whole(const struct gather *gather)
{
	return !atomic_load(&gather->is_cut);
}

struct gather_list *gather_of(const struct gather *gather, unsigned segment)
{
	return segment < gather->segments ? gather->segment[segment].first : NULL;
}
