/* owners.h: who holds the chunks of a live heap: the chunks are listed, the writable
 * memory is looked through for pointers to them, and those that are reached in the same
 * way make one answer. */
#ifndef FRAGSCOPE_OWNERS_H
#define FRAGSCOPE_OWNERS_H

#include "glibc/heap.h"
#include "owners/scan.h"
#include "sample/owners.h"
#include "target/process.h"

/* Goes on after heap_look. PROCESS is null for a saved heap, which has no roots. HEAP,
 * made with options.survey, REGIONS and MEMORY are of PROCESS; BEATS moves while a child
 * of ours makes headway. Allocates tables of OPTIONS->memory_bytes at most, and frees
 * them. Fills OWNERS but for the guesses; CHUNK[i] is the address of a chunk of
 * OWNERS->owner[i]. 0, or -errno and FAULT. */
int owners_find(struct owners *owners, uint64_t chunk[OWNERS_MAX],
		const struct owners_options *options, const struct process *process,
		struct heap *heap, const struct regions *regions, struct memory *memory,
		atomic_ulong *beats, owners_progress_fn *progress, void *context,
		struct fault *fault);

#endif
