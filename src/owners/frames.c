#include "owners/frames.h"

#include "base/subprocess.h"
#include "target/process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, PAGES = 64, CPU_S = 5 };
enum { SP = UNWIND_STACK_POINTER, PC = UNWIND_REGISTERS - 1 };

#define MEMORY_BYTES (UINT64_C(1) << 30)

/* The top of one place's stack. */
struct stack_copy {
	struct thread_state state;
	uint8_t bytes[PAGES * PAGE];
};

struct frames_query {
	const struct process *process;
	const struct frame_place *place;
	struct stack_copy *copy;
	unsigned count;
};

/* "NUMBER ARGUMENTS... SP PC", or "running". Whether the thread waits where it did. */
static bool read_registers(const struct process *process, const struct root_stack *stack,
			   struct thread_state *state)
{
	char name[64], text[256], *pc, *sp;

	snprintf(name, sizeof(name), "task/%d/syscall", stack->tid);
	if (process_text(process->pid, name, text, sizeof(text)) <= 0)
		return false;
	pc = strrchr(text, ' ');
	if (!pc)
		return false;
	*pc++ = '\0';
	sp = strrchr(text, ' ');
	if (!sp)
		return false;
	state->reg[SP] = strtoull(sp + 1, NULL, 16);
	state->reg[PC] = strtoull(pc, NULL, 16);
	return state->reg[SP] == stack->sp && stack->sp < stack->end;
}

/* A page that is not resident is left out: nothing is faulted in. */
static void read_stack(struct stack_copy *copy, const struct root_stack *stack,
		       struct memory *memory, struct pages *pages)
{
	struct thread_state *state = &copy->state;

	state->stack_addr = stack->sp & ~(uint64_t)(PAGE - 1);
	state->stack = copy->bytes;
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t addr = state->stack_addr + (uint64_t)i * PAGE;

		if (addr >= ((stack->end - 1) | (PAGE - 1)))
			return;
		state->stack_bytes += PAGE;
		if (memory_fetch(memory, pages, addr, copy->bytes + i * PAGE, PAGE))
			state->missing_pages |= UINT64_C(1) << i;
	}
}

/* Nothing is freed or closed: the child ends. */
static void follow_in_child(void *context, void *result)
{
	const struct frames_query *query = context;
	struct unwind_place *frame = result;
	struct unwinder *unwinder;
	struct fault fault;

	subprocess_bound(CPU_S, MEMORY_BYTES);
	if (unwind_new(&unwinder, query->process, &fault))
		return;
	for (unsigned i = 0; i < query->count; i++)
		if (query->copy[i].state.stack_bytes &&
		    unwind_place_of(unwinder, &query->copy[i].state, query->place[i].addr,
				    &frame[i]))
			frame[i] = (struct unwind_place){0};
}

int frames_find(struct frame_place *place, unsigned count, const struct process *process,
		struct memory *memory, struct pages *pages, atomic_ulong *beats)
{
	struct frames_query query = {process, place, NULL, count};
	struct unwind_place *frame = calloc(count + 1, sizeof(*frame));
	int error = frame ? 0 : -ENOMEM;

	query.copy = calloc(count + 1, sizeof(*query.copy));
	if (!query.copy)
		error = -ENOMEM;
	for (unsigned i = 0; i < count && !error; i++)
		if (read_registers(process, &place[i].stack, &query.copy[i].state))
			read_stack(&query.copy[i], &place[i].stack, memory, pages);
	/* What a child that came to no end has written may be half of something. */
	if (!error && count &&
	    !subprocess_run(follow_in_child, &query, frame, count * sizeof(*frame),
			    beats))
		for (unsigned i = 0; i < count; i++)
			place[i].frame = frame[i];
	free(query.copy);
	free(frame);
	return error;
}
