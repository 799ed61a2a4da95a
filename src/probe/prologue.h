/* prologue.h: which of a function's first instructions a probe costs least at. The kernel
 * emulates a few kinds; any other it lets the thread step over by itself, with a trap
 * more, at ten times the price. */
#ifndef FRAGSCOPE_PROLOGUE_H
#define FRAGSCOPE_PROLOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum prologue_kind {
	PROLOGUE_PUSH,
	PROLOGUE_NOP,
	PROLOGUE_JUMP,	  /* a conditional one */
	PROLOGUE_ADDRESS, /* an address near the instruction's own: arm64 */
	PROLOGUE_STEPPED, /* the first instruction, whatever it is: nothing better */
	PROLOGUE_KINDS
};

enum { PROLOGUE_BYTES = 64, STAND_IN_BYTES = 12 };

/* An instruction that is run once a call, where the first argument is still in its
 * register and the return address where the call has put it: at the stack pointer, or in
 * the link register, not yet saved or signed, for a probe at the return replaces it. */
struct prologue {
	enum prologue_kind kind;
	unsigned offset; /* from the function's first byte */
	unsigned bytes;	 /* its length; 0 when that is not known (PROLOGUE_STEPPED) */
};

/* One instruction, as far as it was understood: LENGTH is 0 when it was not. */
struct prologue_step {
	unsigned length;
	bool is_emulated;
	enum prologue_kind kind;
};

/* A processor's instructions. */
struct prologue_machine {
	unsigned longest_bytes; /* of one */
	/* CODE has the longest's bytes. */
	struct prologue_step (*decode)(const uint8_t *code);
	/* Functions that do nothing but to run an instruction of a kind, as their first
	 * one, and return; LENGTH 0: it is no kind of this processor's. */
	struct prologue_stand_in {
		uint8_t code[STAND_IN_BYTES];
		size_t length;
	} stand_in[PROLOGUE_KINDS];
};

extern const struct prologue_machine prologue_x86_64, prologue_arm64;

#ifdef __aarch64__
#define PROLOGUE_HERE (&prologue_arm64)
#else
#define PROLOGUE_HERE (&prologue_x86_64)
#endif

/* Chooses among the instructions of CODE, the first BYTES of a function. Looks behind
 * instructions that it knows for sure, and stops at the first that it does not. */
struct prologue prologue_choose(const struct prologue_machine *machine,
				const uint8_t *code, size_t bytes);

/* "push", ... */
const char *prologue_name(enum prologue_kind kind);

#endif
