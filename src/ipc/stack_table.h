/* stack_table.h: the memory in which the library that `run --stacks` loads into a program
 * keeps its sample of the live allocations: address, size, instant, and of the stack that
 * asked for each the registers and a copy of the top. Many threads of the program write,
 * without a lock; readers look at it from outside and follow the stacks there.
 *
 * As the ring (ring.h) it is a mapping of a memfd that no child inherits. The page of the
 * header comes first, then an address a cell, then the number of a slot a cell, then the
 * slots, and last, for the writers alone, a depth a cell. */
#ifndef FRAGSCOPE_STACK_TABLE_H
#define FRAGSCOPE_STACK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STACK_TABLE_MEMFD "fragscope-stacks"
/* As /proc/PID/maps names it. */
#define STACK_TABLE_MAPPING "/memfd:fragscope-stacks (deleted)"
#define STACK_TABLE_MAGIC   UINT64_C(0x534b545350435346) /* "FSCPSTKS" */

enum {
	/* Another number is another layout; a reader knows one only. */
	STACK_TABLE_VERSION = 1,
	STACK_SLOTS = 16384, /* live allocations that there is room for */
	STACK_CELLS = 2 * STACK_SLOTS,
	/* An address is in one of so many cells, from the one that it hashes to. */
	STACK_WINDOW = 32,
	STACK_SLOT_BYTES = 8192,
	STACK_NAME = 64,
	STACK_HEADER_BYTES = 4096,
};

/* In DWARF's order. */
#ifdef __aarch64__
enum { STACK_REGISTERS = 33, STACK_POINTER = 31 };
#else
enum { STACK_REGISTERS = 17, STACK_POINTER = 7 };
#endif

/* What is in a cell that has no address. */
enum { STACK_CELL_FREE = 0, STACK_CELL_BUSY = 1 };

/* Whether a table is being filled. */
enum stack_state {
	STACK_STATE_ON = 1,
	/* The program's own malloc, or that of a library which the loader asks first,
	 * serves it: no call comes by. */
	STACK_STATE_BYPASSED = 2,
};

/* The first page. Written before MAGIC, but for the counts. */
struct stack_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t cells;
	uint32_t slots;
	uint32_t slot_bytes;
	int32_t pid;	     /* in its own PID namespace */
	uint32_t state;	     /* of enum stack_state */
	uint32_t forked;     /* of a child: what its parent had allocated is not in it */
	uint64_t mean_bytes; /* between two samples, on average */
	int64_t start_ns;    /* CLOCK_MONOTONIC */
	uint64_t serial;     /* samples so far that had room; the next has this number */
	uint64_t dropped;    /* for which there was no room */
	uint64_t used;	     /* slots that were ever taken */
	uint64_t free_slot;  /* the list of free ones: a tag above, a slot + 1 below */
	char name[STACK_NAME]; /* of the file that serves malloc; null-terminated */
};

/* One sampled allocation that is still there; CHECK is over ADDR to TIME_NS. Then the
 * registers in the function that took the copy, and STACK_BYTES from the stack pointer
 * on. */
struct stack_slot {
	uint64_t addr;
	uint64_t serial;
	uint64_t bytes;	 /* asked for */
	int64_t time_ns; /* CLOCK_MONOTONIC, coarse */
	uint64_t check;
	uint32_t next; /* of a free one: the next free slot + 1 */
	uint32_t stack_bytes;
	uint64_t reg[STACK_REGISTERS];
	uint8_t stack[STACK_SLOT_BYTES - 8 * (6 + STACK_REGISTERS)];
};

enum {
	STACK_CELLS_AT = STACK_HEADER_BYTES,
	STACK_NUMBERS_AT = STACK_CELLS_AT + STACK_CELLS * 8,
	STACK_SLOTS_AT = STACK_NUMBERS_AT + STACK_CELLS * 4,
	STACK_DEPTHS_AT = STACK_SLOTS_AT + STACK_SLOTS * STACK_SLOT_BYTES,
	STACK_TABLE_BYTES = STACK_DEPTHS_AT + STACK_CELLS,
};

_Static_assert(sizeof(struct stack_header) <= STACK_HEADER_BYTES, "the header has room");
_Static_assert(sizeof(struct stack_slot) == STACK_SLOT_BYTES, "no padding");
_Static_assert(STACK_SLOTS_AT % STACK_HEADER_BYTES == 0, "slots begin at a page");

/* The cell that the window of ADDR begins with. */
static inline uint32_t stack_cell(uint64_t addr)
{
	return (uint32_t)(((addr >> 4) * UINT64_C(0x9fb21c651e98df25)) >> 40) &
	       (STACK_CELLS - 1);
}

/* The Ith of the window of ADDR. */
static inline uint32_t stack_cell_after(uint64_t addr, uint32_t i)
{
	return (stack_cell(addr) + i) & (STACK_CELLS - 1);
}

static inline uint64_t stack_check(const struct stack_slot *slot)
{
	const uint64_t word[] = {slot->addr, slot->serial, slot->bytes,
				 (uint64_t)slot->time_ns};
	uint64_t sum = 0x9e37;

	for (unsigned i = 0; i < sizeof(word) / sizeof(*word); i++) {
		sum = (sum ^ word[i]) * UINT64_C(0x9fb21c651e98df25);
		sum ^= sum >> 29;
	}
	return sum;
}

/* ---- the writer, which is linked with no libc: async-signal-safe ---- */

/* Fills the header of TABLE, whose memory is zero, but for NAME, and publishes it. */
void stack_table_begin(void *table, const struct stack_header *header);

/* A slot to fill, or null: there is none, which is counted. */
struct stack_slot *stack_table_slot(void *table, uint32_t *number);

/* The slot NUMBER, which is full but for ADDR, SERIAL and CHECK, for ADDR, which has
 * none. False: there was no cell for it; that is counted, and the slot is free. */
bool stack_table_put(void *table, uint64_t addr, uint32_t number);

/* Takes ADDR out; the slot *NUMBER stays as it was. False: there is none. */
bool stack_table_take(void *table, uint64_t addr, uint32_t *number);

void stack_table_free_slot(void *table, uint32_t number);

/* ---- the reader ---- */

struct process;
struct stack_table;

/* One live allocation as a reader has it. */
struct stack_sample {
	uint64_t addr;
	uint64_t serial;
	uint64_t bytes;
	int64_t time_ns;
	uint32_t cell, slot;
};

/* Finds the table of PROCESS, which must outlive it. 0; -ENOENT: there is none; -EPERM:
 * its memory may not be read; -EPROTO: it is no table; -ENOTSUP: of another version;
 * -ESRCH; -ENOMEM. */
int stack_table_open(struct stack_table **table, const struct process *process);
void stack_table_close(struct stack_table *table);

/* As it was at the last call of stack_table_read, or at the opening. */
const struct stack_header *stack_table_header(const struct stack_table *table);

/* Reads all of it: *SAMPLES, the caller's to free, in order of address, and how many.
 * Entries that changed meanwhile are left out. 0 or -errno. */
int stack_table_read(struct stack_table *table, struct stack_sample **samples,
		     unsigned *count);

/* The stack of SAMPLE. 0; -EAGAIN: the allocation is gone; or -errno. */
int stack_table_stack(struct stack_table *table, const struct stack_sample *sample,
		      struct stack_slot *slot);

#endif
