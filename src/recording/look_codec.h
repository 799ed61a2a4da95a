/* look_codec.h: what is looked at besides the readings, as bytes: the map of an arena,
 * the free chunks of all arenas by their size, and who holds chunks. Each stands for
 * itself; docs/RECORDINGS.md has the formats. For the files of this directory only. */
#ifndef FRAGSCOPE_LOOK_CODEC_H
#define FRAGSCOPE_LOOK_CODEC_H

#include "sample/heap_map.h"
#include "sample/owners.h"
#include "sample/sample.h"

#include <stddef.h>

/* The kinds in the file; what is of no arena has LOOK_PROCESS. */
#define LOOK_MAP    "map"
#define LOOK_SIZES  "sizes"
#define LOOK_OWNERS "owners"
enum { LOOK_PROCESS = -1 };

/* Each writes to BUF and returns the length; 0: it does not fit into CAPACITY. When the
 * look was made is not in it, nor how long it took but for owners. */
size_t look_map_write(const struct heap_map *map, unsigned char *buf, size_t capacity);
size_t look_sizes_write(const struct sample *sample, unsigned char *buf, size_t capacity);
size_t look_owners_write(const struct owners *owners, unsigned char *buf,
			 size_t capacity);

/* 0; -EPROTO: it is damaged; -ENOSPC: what is read into has no room for it. The map has
 * its arena, and the sample all but its rows and their bins, from the caller. */
int look_map_read(const unsigned char *data, size_t length, struct heap_map *map);
int look_sizes_read(const unsigned char *data, size_t length, struct sample *sample);
int look_owners_read(const unsigned char *data, size_t length, struct owners *owners);

#endif
