#include "sample/heap_map.h"

#include "base/take.h"

#include <stdlib.h>
#include <string.h>

/* The map, its cells and its chunks lie in one block, in this order. */
struct heap_map *heap_map_new(unsigned cells, unsigned chunks)
{
	size_t cell_bytes = cells * sizeof(struct map_cell);
	struct heap_map *map =
		take(sizeof(*map) + cell_bytes + chunks * sizeof(struct map_chunk));

	if (!map)
		return NULL;
	map->cell = (struct map_cell *)(map + 1);
	map->cell_capacity = cells;
	map->chunk = (struct map_chunk *)(map->cell + cells);
	map->chunk_capacity = chunks;
	return map;
}

void heap_map_free(struct heap_map *map)
{
	free(map);
}

void heap_map_clear(struct heap_map *map)
{
	*map = (struct heap_map){
		.arena = map->arena,
		.from = map->from,
		.to = map->to,
		.cell = map->cell,
		.cell_capacity = map->cell_capacity,
		.chunk = map->chunk,
		.chunk_capacity = map->chunk_capacity,
	};
}

void heap_map_copy(struct heap_map *into, const struct heap_map *from)
{
	struct heap_map own = *into;

	*into = *from;
	into->cell = own.cell;
	into->cell_capacity = own.cell_capacity;
	into->chunk = own.chunk;
	into->chunk_capacity = own.chunk_capacity;
	memcpy(into->cell, from->cell, from->cell_count * sizeof(*from->cell));
	memcpy(into->chunk, from->chunk, from->chunk_count * sizeof(*from->chunk));
}

const struct map_cell *heap_map_at(const struct heap_map *map, uint64_t addr)
{
	unsigned low = 0, high = map->cell_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (map->cell[middle].to <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == map->cell_count || map->cell[low].from > addr)
		return NULL;
	return &map->cell[low];
}

const struct map_chunk *heap_map_chunk(const struct heap_map *map, uint64_t addr)
{
	unsigned low = 0, high = map->chunk_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (map->chunk[middle].addr + map->chunk[middle].bytes <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == map->chunk_count || map->chunk[low].addr > addr)
		return NULL;
	return &map->chunk[low];
}

enum map_kind map_cell_most(const struct map_cell *cell)
{
	enum map_kind most = MAP_LIVE;

	for (unsigned i = 0; i < MAP_KINDS; i++)
		if (cell->bytes[i] > cell->bytes[most])
			most = i;
	return most;
}

const char *map_kind_name(enum map_kind kind)
{
	static const char *const names[MAP_KINDS] = {
		[MAP_LIVE] = "live",	     [MAP_CACHED] = "cached",
		[MAP_PINNED] = "pinned",     [MAP_TRIMMABLE] = "trimmable",
		[MAP_RETAINED] = "retained", [MAP_RETURNED] = "returned",
		[MAP_OWN] = "malloc's own",  [MAP_FOREIGN] = "foreign",
		[MAP_DOUBT] = "in doubt",    [MAP_UNREAD] = "swapped out",
	};

	return names[kind];
}

const char *map_chunk_kind_name(enum map_chunk_kind kind)
{
	static const char *const names[MAP_CHUNK_KINDS] = {
		[MAP_CHUNK_LIVE] = "live",	 [MAP_CHUNK_CACHED] = "cached",
		[MAP_CHUNK_FREE] = "free",	 [MAP_CHUNK_FAST] = "fastbin",
		[MAP_CHUNK_TOP] = "top",	 [MAP_CHUNK_OWN] = "malloc's own",
		[MAP_CHUNK_FOREIGN] = "foreign", [MAP_CHUNK_DOUBT] = "in doubt",
	};

	return names[kind];
}
