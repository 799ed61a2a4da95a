/* parts.h: what the files of the unwinder share; for src/unwind only. */
#ifndef FRAGSCOPE_UNWIND_PARTS_H
#define FRAGSCOPE_UNWIND_PARTS_H

#include "unwind/symbols.h"
#include "unwind/unwind.h"

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What differs between machines; registers are numbered as DWARF does. */
struct machine {
	uint16_t elf; /* EM_* */
	const char *name;
	unsigned
		registers; /* in thread_state, from 0 on; the instruction's is the last */
	unsigned stack_pointer;
	bool numbers_pc;       /* DWARF has a number for the instruction's register */
	unsigned address_bits; /* above these a return address may be signed */
	unsigned syscall_bytes;
	unsigned instruction_step; /* instructions begin at multiples of it */
	uint8_t syscall[4];
};

/* A file of the process, at one place in its memory. */
struct module {
	struct module *next;
	Dwfl_Module *dwfl;
	const char *name; /* interned: events keep it when the module is gone */
	char key[24];	  /* what the session calls it; no two modules share one */
	dev_t device;
	ino_t inode;
	uint64_t bias;
	bool is_kept;	  /* still mapped, during a scan */
	bool has_symbols; /* SYMBOLS is loaded */
	bool has_malloc;  /* of its own; known once prepared */
	struct symbols symbols;
};

/* One executable mapping, and what it is of: MODULE is null when that is no ELF file of
 * the machine. */
struct code_mapping {
	uint64_t start, end, offset, inode;
	struct module *module;
	int fd; /* of a new one, until it has a module; else -1 */
	const char *name;
};

struct code_mappings {
	struct code_mapping *piece; /* in order of address */
	unsigned count, room;
};

/* Where a function keeps the size that malloc was asked for, by debug information. */
struct request_place;

/* What is known of an address of code. */
struct name {
	uint64_t addr;
	const char *function; /* interned, demangled; or null */
	uint64_t start;	      /* of the function, else the module's bias */
	struct module *module;
	bool has_cfi;	   /* a caller can be found from here, or that there is none */
	bool is_outermost; /* there is none: it is where a thread begins */
	bool is_malloc;	   /* it is in one of malloc's functions */
	bool is_signal;	   /* the kernel comes back to it from a signal's handler */
	struct request_place *place; /* or null */
};

struct unwinder {
	const struct process *process;
	const struct machine *machine;
	int exe_fd;
	Elf *exe; /* tells libdwfl the machine, whatever modules come and go */
	Dwfl *dwfl;
	struct module *modules;
	struct code_mappings pieces;
	unsigned last_key;
	bool is_plain;	      /* requests are not read, which takes debug information */
	bool is_gone;	      /* the address space is: the last scan stays true */
	int64_t next_scan_ns; /* of CLOCK_MONOTONIC: none before it for a strange pc */
	void *strings;	      /* tsearch's, of char * */
	void *names;	      /* tsearch's, of struct name by address */
	const struct thread_state *state; /* of the walk that is under way */
};

/* ---- modules.c ---- */

/* Brings the modules up to date with the process's mappings: 1 when they changed, 0 when
 * not, or -errno and all is as it was. What was known of addresses may be of modules that
 * are gone, unless it answers 0. */
int modules_scan(struct unwinder *unwinder);
void modules_free(struct unwinder *unwinder);

/* Whether modules_scan would change something: 1, 0, or -errno. */
int modules_are_stale(const struct unwinder *unwinder);
struct module *modules_at(struct unwinder *unwinder, uint64_t addr);

/* Whether the file that was mapped at ADDR at the last scan is still mapped there; true
 * as well when the mapping cannot be looked at, as of a process that is gone. IF_UNKNOWN:
 * what it is without the capability that looking takes (CAP_CHECKPOINT_RESTORE). */
bool modules_is_fresh(const struct unwinder *unwinder, uint64_t addr, bool if_unknown);

/* MODULE's functions, loaded at the first call. */
const struct symbols *module_symbols(struct module *module);

/* ---- strings.c ---- */

/* TEXT's only copy, owned by UNWINDER; null without memory. */
const char *strings_intern(struct unwinder *unwinder, const char *text);
void strings_free(struct unwinder *unwinder);

/* ---- names.c ---- */

/* What is known of ADDR; null when it is in no module, or without memory. Valid until the
 * next scan. */
const struct name *names_find(struct unwinder *unwinder, uint64_t addr);
void names_forget(struct unwinder *unwinder);

/* ---- request.c ---- */

/* The place in the function at ADDR of MODULE, allocated, or null. */
struct request_place *request_find(const struct module *module, uint64_t addr);
void request_free(struct request_place *place);

/* What the place of NAME, which must have one, holds in FRAME, whose code is at NAME's
 * address, as the size of a chunk: *BYTES. INNERMOST is the function the thread was in,
 * or null. False when it cannot be had at this instruction. */
bool request_read(const struct unwinder *unwinder, const struct name *name,
		  Dwfl_Frame *frame, const char *innermost, uint64_t *bytes);

/* ---- stack.c ---- */

/* Eight bytes of the stack's copy. */
bool stack_read(const struct thread_state *state, uint64_t addr, uint64_t *value);

#endif
