/* stack.c: the copy of a thread's stack. */
#include "unwind/parts.h"

#include <string.h>

enum { STACK_PAGE = 4096 }; /* that missing_pages counts in */

static bool is_missing(const struct thread_state *state, uint64_t at)
{
	uint64_t page = at / STACK_PAGE;

	return page < 64 && state->missing_pages >> page & 1;
}

bool stack_read(const struct thread_state *state, uint64_t addr, uint64_t *value)
{
	uint64_t at = addr - state->stack_addr;

	if (addr < state->stack_addr || state->stack_bytes < sizeof(*value) ||
	    at > state->stack_bytes - sizeof(*value) || is_missing(state, at) ||
	    is_missing(state, at + sizeof(*value) - 1))
		return false;
	memcpy(value, state->stack + at, sizeof(*value));
	return true;
}
