/* frames.h: which function's frame places on threads' stacks lie in, for the types of its
 * local variables. */
#ifndef FRAGSCOPE_OWNERS_FRAMES_H
#define FRAGSCOPE_OWNERS_FRAMES_H

#include "owners/roots.h"
#include "target/memory.h"
#include "unwind/unwind.h"

/* Asked about: ADDR on STACK. Answered: FRAME, whose pc is 0 where it is not known. */
struct frame_place {
	struct root_stack stack;
	uint64_t addr;
	struct unwind_place frame;
};

/* Fills in the frames of COUNT places of PROCESS, of threads that wait in the kernel
 * where they did when the roots were made. Only what the call frame information gives
 * without a register but the stack pointer counts, or by registers that frames further in
 * have saved. A child follows the stacks, and BEATS moves as long as it makes headway. 0
 * or -ENOMEM. */
int frames_find(struct frame_place *place, unsigned count, const struct process *process,
		struct memory *memory, struct pages *pages, atomic_ulong *beats);

#endif
