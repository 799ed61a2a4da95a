/* roots.h: the writable memory of a process that is not malloc's: globals, thread-local
 * storage, stacks, other mappings; and what the places in it are called. */
#ifndef FRAGSCOPE_ROOTS_H
#define FRAGSCOPE_ROOTS_H

#include "owners/chunks.h"
#include "sample/owners.h"
#include "target/maps.h"
#include "target/process.h"

#include <stdatomic.h>

/* A range of memory that is looked through for pointers. */
struct root_span {
	uint64_t start, end;
	enum owner_root kind;
	uint32_t module; /* of a global: index, else NO_MODULE */
	uint32_t thread; /* of a stack or thread-local storage: index */
	uint32_t name;	 /* of a mapping: index of its text, or 0 */
};

enum { NO_MODULE = UINT32_MAX, NO_THREAD = UINT32_MAX };

/* One thing that points to chunks: a variable, a function's frames, a mapping. */
struct root {
	enum owner_root kind;
	uint32_t span;
	uint64_t key;  /* what distinguishes it from others of its kind */
	uint64_t addr; /* of the first place seen */
	uint64_t last; /* and the last */
	uint32_t slots;
	uint32_t thread;
	uint64_t target_bytes; /* of the chunk that the last place points to */
	bool is_libc;	       /* data of libc or of the loader */
};

struct roots;

/* Learns the mappings and threads of PROCESS, or none where that is null: a saved heap
 * has no roots. Everything that CHUNKS covers is left out. BEATS: see globals.h. 0 or
 * -errno. What was made is the caller's to free, after any result. */
int roots_new(struct roots **roots, const struct process *process, struct chunks *chunks,
	      struct memory *memory, struct pages *pages, atomic_ulong *beats);

/* Gives its memory back to CHUNKS, which must still be there. */
void roots_free(struct roots *roots);

/* Forgets all numbers. */
void roots_renumber(struct roots *roots);

uint32_t roots_span_count(const struct roots *roots);
const struct root_span *roots_span(const struct roots *roots, uint32_t i);

/* Whether ADDR is code: it says whose frame a place on a stack is in. */
bool roots_is_code(const struct roots *roots, uint64_t addr);

/* The number of the root that the place ADDR in span SPAN belongs to, which points to a
 * chunk of BYTES; CODE is the last code address below it on the stack, or 0. Negative:
 * -errno. */
int64_t roots_number(struct roots *roots, uint32_t span, uint64_t addr, uint64_t code,
		     uint64_t bytes);

const struct root *roots_get(const struct roots *roots, uint32_t number);

/* Whether the process has CPython in it, by its files' names. */
bool roots_has_python(const struct roots *roots);

/* Whether root NUMBER is all memory of no file and no name. */
bool roots_is_anonymous(const struct roots *roots, uint32_t number);

/* One place less is root NUMBER's. */
void roots_drop_slot(struct roots *roots, uint32_t number);

/* The number of the root that is called NAME, a mapping, as which the place ADDR of root
 * NUMBER counts from now on. Negative: -errno. */
int64_t roots_rename(struct roots *roots, uint32_t number, uint64_t addr,
		     const char *name);

/* What root NUMBER is called, and where it is. */
void roots_name(struct roots *roots, uint32_t number, char name[OWNER_NAME],
		char where[OWNER_NAME]);

/* The files whose globals are roots, by number; null: there are no more. */
const struct mapping *roots_file(const struct roots *roots, uint32_t number);

/* Of a thread's stack. */
struct root_stack {
	int tid;
	uint64_t sp; /* of a thread that waits in the kernel, else 0 */
	uint64_t end;
};

/* Fills STACK with that which root NUMBER is on. False: it is on none. */
bool roots_stack(const struct roots *roots, uint32_t number, struct root_stack *stack);

/* A named variable of a file, as the file itself has it. */
struct root_variable {
	const struct mapping *mapping; /* as roots_file */
	bool is_thread;
	/* A local one of the function that has this instruction: VARIABLE is then the
	 * place from the function's canonical frame address on, and OFFSET not known. */
	uint64_t code;	   /* or 0 */
	uint64_t variable; /* address; of a thread's variable, the offset in its block */
	uint64_t offset;   /* of the place, from the variable's beginning */
};

/* Which variable root NUMBER is, of which ADDR is a place. False: it is none that has a
 * name. */
bool roots_variable(const struct roots *roots, uint32_t number, uint64_t addr,
		    struct root_variable *variable);

/* The same of the place ADDR in a frame: the instruction PC is in its function, and CFA
 * its canonical frame address. */
bool roots_local(struct roots *roots, uint64_t addr, uint64_t pc, uint64_t cfa,
		 struct root_variable *variable);

#endif
