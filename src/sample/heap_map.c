#include "sample/heap_map.h"

#include "base/alloc_touched.h"

#include <stdlib.h>
#include <string.h>

/* The map, its cells and its chunks lie in one block, in this order. */
struct heap_map *heap_map_new(unsigned cells, unsigned chunks)
{
	size_t cell_bytes = cells * sizeof(struct map_cell);
	struct heap_map *map = alloc_touched(sizeof(*map) + cell_bytes +
					     chunks * sizeof(struct map_chunk));

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

/* A kind is called what the figure is called that counts it. */
const char *map_kind_name(enum map_kind kind)
{
	static const enum figure figures[MAP_KINDS] = {
		[MAP_LIVE] = FIG_LIVE_BYTES,
		[MAP_CACHED] = FIG_TCACHE_BYTES,
		[MAP_PINNED] = FIG_PINNED_BYTES,
		[MAP_TRIMMABLE] = FIG_TRIMMABLE_BYTES,
		[MAP_RETAINED] = FIG_RETAINED_BYTES,
		[MAP_OWN] = FIG_ALLOCATOR_RESIDENT_BYTES,
		[MAP_FOREIGN] = FIG_FOREIGN_BYTES,
		[MAP_DOUBT] = FIG_IN_DOUBT_BYTES,
	};

	if (kind == MAP_RETURNED)
		return "returned";
	return kind == MAP_UNREAD ? "swapped out" : figure_label(figures[kind]);
}

const char *map_chunk_kind_name(enum map_chunk_kind kind)
{
	static const char *const names[MAP_CHUNK_KINDS] = {
		[MAP_CHUNK_LIVE] = "live",	 [MAP_CHUNK_CACHED] = "tcache",
		[MAP_CHUNK_FREE] = "free",	 [MAP_CHUNK_FAST] = "fastbin",
		[MAP_CHUNK_TOP] = "top",	 [MAP_CHUNK_OWN] = "allocator",
		[MAP_CHUNK_FOREIGN] = "foreign", [MAP_CHUNK_DOUBT] = "in doubt",
	};

	return names[kind];
}
