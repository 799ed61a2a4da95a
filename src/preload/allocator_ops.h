/* allocator_ops.h: what the sampler knows of one allocator; for the files of this
 * directory. */
#ifndef FRAGSCOPE_ALLOCATOR_OPS_H
#define FRAGSCOPE_ALLOCATOR_OPS_H

#include "ipc/ring.h"

/* START runs before the program's own code and takes all that is needed later; it writes
 * NAME, and is false where this is not the allocator that serves malloc. The others run
 * in the sampler's thread: TOTALS fills figures of the process, DETAIL those that take
 * longer; it is false when they could not be read, and null where there are none. None of
 * them takes or frees memory of the host. FORKED mends what a fork in the middle of
 * DETAIL has left in the child. */
struct allocator_ops {
	enum ring_allocator kind;
	bool (*start)(char name[RING_NAME]);
	void (*totals)(struct ring_sample *sample);
	bool (*detail)(struct ring_sample *sample);
	void (*forked)(void);
	void (*trim)(void);
};

extern const struct allocator_ops allocator_ops_glibc;
extern const struct allocator_ops allocator_ops_jemalloc;
extern const struct allocator_ops allocator_ops_mimalloc;
extern const struct allocator_ops allocator_ops_tcmalloc;

static inline void sample_put(struct ring_sample *sample, enum ring_figure figure,
			      uint64_t value)
{
	sample->value[figure] = value;
	sample->have |= UINT64_C(1) << figure;
}

static inline void arena_put(struct ring_arena *arena, enum ring_figure figure,
			     uint64_t value)
{
	arena->value[figure] = value;
	arena->have |= UINT64_C(1) << figure;
}

/* ---- host.c: what the program is made of ---- */

/* Whether the sampler must stay out of this program. */
bool host_is_off_limits(void);

/* Whether malloc is served by the object that FUNCTION, which may be null, is in. */
bool host_malloc_is_beside(const void *function);

/* Whether FUNCTION is in the program itself, not in a library. */
bool host_is_of_program(const void *function);

/* The function NAME: LINKED where the loader has found it, or else, where the program
 * itself serves malloc, as when an allocator is linked into it statically, what its own
 * table of symbols calls so; null when that is stripped off. */
const void *host_find(const char *name, const void *linked);

/* The file name of the object that serves malloc. */
void host_malloc_name(char name[RING_NAME]);

/* Appends TEXT to NAME as far as there is room. */
void host_append(char name[RING_NAME], const char *text);

#endif
