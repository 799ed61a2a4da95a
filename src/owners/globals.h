/* globals.h: the variables and functions of a mapped file by address, from its symbol
 * table, or that of its debug file, or its dynamic symbols. */
#ifndef FRAGSCOPE_GLOBALS_H
#define FRAGSCOPE_GLOBALS_H

#include "target/maps.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct global {
	uint64_t start, end; /* addresses in the process; of a thread's variable: in
				the file's block of thread-local storage */
	uint64_t name;	     /* for globals_name */
};

struct globals;

/* The variables of the file that MAPPING of PROCESS is of. The file is the process's to
 * choose: a child reads it, and BEATS moves as long as that makes headway. 0; -ENOENT
 * when the file names none; or -errno. What was made is the caller's to free, after any
 * result. */
int globals_load(struct globals **globals, const struct process *process,
		 const struct mapping *mapping, atomic_ulong *beats);
void globals_free(struct globals *globals);

/* The variable that covers ADDR, or null. */
const struct global *globals_at(const struct globals *globals, uint64_t addr);

const char *globals_name(const struct globals *globals, const struct global *global);

/* The function that covers ADDR, or null. */
const struct global *globals_function_at(const struct globals *globals, uint64_t addr);

/* The thread's variable at OFFSET in the file's thread-local block, or null. */
const struct global *globals_thread_at(const struct globals *globals, uint64_t offset);

/* What the block takes (0: the file has none), and how far from the thread pointer it
 * begins, when the file is the program. */
uint64_t globals_thread_bytes(const struct globals *globals);
int64_t globals_thread_block(const struct globals *globals);

/* Whether the file says of itself that it is a program, and no library. */
bool globals_is_program(const struct globals *globals);

/* Where the file's writable data end in the process, its zeroes included; 0: nowhere. */
uint64_t globals_data_end(const struct globals *globals);

/* What the file itself calls ADDR: for a place without a name. */
uint64_t globals_file_address(const struct globals *globals, uint64_t addr);

#endif
