/* prologue.h: which of a function's first instructions (x86-64) a probe costs least at.
 * The kernel emulates a few kinds; any other it lets the thread step over by itself, with
 * a trap more, at ten times the price. */
#ifndef FRAGSCOPE_PROLOGUE_H
#define FRAGSCOPE_PROLOGUE_H

#include <stddef.h>
#include <stdint.h>

enum prologue_kind {
	PROLOGUE_PUSH,
	PROLOGUE_NOP,
	PROLOGUE_JUMP,	  /* a conditional one */
	PROLOGUE_STEPPED, /* the first instruction, whatever it is: nothing better */
	PROLOGUE_KINDS
};

enum { PROLOGUE_BYTES = 64, INSTRUCTION_BYTES = 15, STAND_IN_BYTES = 4 };

/* An instruction that is run once a call, where the first argument is still in its
 * register and the return address at the stack pointer. */
struct prologue {
	enum prologue_kind kind;
	unsigned offset; /* from the function's first byte */
	unsigned bytes;	 /* its length; 0 when that is not known (PROLOGUE_STEPPED) */
};

/* Chooses among the instructions of CODE, the first BYTES of a function. Looks behind
 * instructions that it knows for sure, and stops at the first that it does not. */
struct prologue prologue_choose(const uint8_t *code, size_t bytes);

/* Writes a function of at most STAND_IN_BYTES which does nothing but to
 * run an instruction of KIND (as its first one) and return. A stand-in to learn a price
 * from. Returns its length. */
size_t prologue_stand_in(enum prologue_kind kind, uint8_t *code);

/* "push", ... */
const char *prologue_name(enum prologue_kind kind);

#endif
