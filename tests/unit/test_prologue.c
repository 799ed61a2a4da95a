/* test_prologue.c: where malloc is probed: the prologues of real builds, and code that
 * must not be looked behind. */
#include "probe/prologue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct prologue_case {
	const char *code;
	size_t bytes;
	enum prologue_kind kind;
	unsigned offset;
};

#define CODE(text) (text), sizeof(text) - 1

static void check(const struct prologue_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t code[PROLOGUE_BYTES];
		struct prologue got;

		/* What follows is no instruction: nobody may look behind the case. */
		memset(code, 0x06, sizeof(code));
		memcpy(code, cases[i].code, cases[i].bytes);
		got = prologue_choose(code, sizeof(code));
		if (got.kind != cases[i].kind || got.offset != cases[i].offset)
			fail_msg("case %zu: kind %d at %u", i, got.kind, got.offset);
	}
}

static void real_prologues(void **state)
{
	static const struct prologue_case cases[] = {
		/* Debian's 2.36 and 2.41 */
		{CODE("\x41\x54\x55\x53\x48\x89\xfb"), PROLOGUE_PUSH, 0},
		/* 2.31: mov (rip), then push */
		{CODE("\x48\x8b\x05\x09\x81\x14\x00\x41\x54\x55"), PROLOGUE_PUSH, 7},
		/* 2.43: test, js */
		{CODE("\x48\x85\xff\x78\x71\x48\x8d\x47\x17"), PROLOGUE_JUMP, 3},
		/* 2.44: endbr64, test, js */
		{CODE("\xf3\x0f\x1e\xfa\x48\x85\xff\x78\x75"), PROLOGUE_JUMP, 7},
		/* a static program's */
		{CODE("\x55\x48\x89\xfd\x53"), PROLOGUE_PUSH, 0},
		{CODE("\xf3\x0f\x1e\xfa\x90"), PROLOGUE_NOP, 4},
		{CODE("\x48\x85\xff\x0f\x88\x01\x02\x03\x04"), PROLOGUE_JUMP, 3},
		{CODE("\x48\x8d\x47\x17\x31\xc9\x80\x3d\x01\x02\x03\x04\x00\x0f\x84\x00"
		      "\x00\x00\x00"),
		 PROLOGUE_JUMP, 13},
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

static void no_look_behind_what_is_not_known_or_moves_the_argument(void **state)
{
	static const struct prologue_case cases[] = {
		{CODE("\x48\x83\xec\x10\x55"), PROLOGUE_STEPPED, 0}, /* sub, rsp */
		{CODE("\x48\x89\xc7\x55"), PROLOGUE_STEPPED, 0},     /* mov to rdi */
		{CODE("\x48\x8b\xf8\x55"), PROLOGUE_STEPPED, 0},     /* the other mov */
		{CODE("\x48\x8d\x7f\x17\x55"), PROLOGUE_STEPPED, 0}, /* lea to rdi */
		{CODE("\x31\xff\x55"), PROLOGUE_STEPPED, 0},	     /* xor of edi */
		{CODE("\x48\x89\xe5\xeb\x10"), PROLOGUE_STEPPED, 0}, /* then a jump */
		{CODE("\x48\x8b\x04\x24\x55"), PROLOGUE_STEPPED, 0}, /* SIB */
		{CODE("\x48\x8b\x80\x01\x02\x03\x04\x55"), PROLOGUE_STEPPED, 0},
		{CODE("\x48\x83\xc0\x10\x55"), PROLOGUE_STEPPED, 0}, /* add, not cmp */
		{CODE("\x66\x55"), PROLOGUE_STEPPED, 0},	     /* a prefix */
		{CODE("\xe8\x01\x02\x03\x04\x55"), PROLOGUE_STEPPED, 0}, /* call */
		{CODE("\xc3\x55"), PROLOGUE_STEPPED, 0},		 /* ret */
		{CODE("\xcc\x55"), PROLOGUE_STEPPED, 0},
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

/* r15 has the number of rdi but for a bit of the prefix. */
static void high_registers_are_told_from_low_ones(void **state)
{
	static const struct prologue_case cases[] = {
		{CODE("\x49\x89\xff\x55"), PROLOGUE_PUSH, 3}, /* mov %rdi,%r15 */
		{CODE("\x4c\x8b\x3d\x01\x02\x03\x04\x55"), PROLOGUE_PUSH, 7},
		{CODE("\x4c\x8d\x7f\x17\x55"), PROLOGUE_PUSH, 4},
	};

	(void)state;
	check(cases, sizeof(cases) / sizeof(*cases));
}

static void code_that_ends_is_not_read_past(void **state)
{
	uint8_t code[INSTRUCTION_BYTES] = {0x48, 0x85, 0xff, 0x55};
	struct prologue got = prologue_choose(code, sizeof(code));

	(void)state;
	/* The push may be cut off, for all one knows. */
	assert_int_equal(got.kind, PROLOGUE_STEPPED);
	got = prologue_choose(code, 0);
	assert_int_equal(got.kind, PROLOGUE_STEPPED);
}

/* A stand-in is of the kind that it stands for. */
static void stand_ins_are_of_their_kind(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < PROLOGUE_KINDS; kind++) {
		uint8_t code[PROLOGUE_BYTES] = {0};
		size_t length = prologue_stand_in(kind, code);
		struct prologue got;

		assert_true(length && length <= STAND_IN_BYTES);
		assert_int_equal(code[length - 1], 0xc3);
		got = prologue_choose(code, sizeof(code));
		assert_int_equal(got.kind, kind);
		assert_int_equal(got.offset, 0);
		assert_true(prologue_name(kind)[0]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_prologues),
		cmocka_unit_test(no_look_behind_what_is_not_known_or_moves_the_argument),
		cmocka_unit_test(high_registers_are_told_from_low_ones),
		cmocka_unit_test(code_that_ends_is_not_read_past),
		cmocka_unit_test(stand_ins_are_of_their_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
