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

static void check(const struct prologue_machine *machine,
		  const struct prologue_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint8_t code[PROLOGUE_BYTES];
		struct prologue got;

		/* What follows is no instruction: nobody may look behind the case. */
		memset(code, 0x06, sizeof(code));
		memcpy(code, cases[i].code, cases[i].bytes);
		got = prologue_choose(machine, code, sizeof(code));
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
	check(&prologue_x86_64, cases, sizeof(cases) / sizeof(*cases));
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
	check(&prologue_x86_64, cases, sizeof(cases) / sizeof(*cases));
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
	check(&prologue_x86_64, cases, sizeof(cases) / sizeof(*cases));
}

static void code_that_ends_is_not_read_past(void **state)
{
	const struct prologue_machine *machine = &prologue_x86_64;
	uint8_t code[15] = {0x48, 0x85, 0xff, 0x55};
	struct prologue got = prologue_choose(machine, code, sizeof(code));

	(void)state;
	/* The push may be cut off, for all one knows. */
	assert_int_equal(got.kind, PROLOGUE_STEPPED);
	got = prologue_choose(machine, code, 0);
	assert_int_equal(got.kind, PROLOGUE_STEPPED);
}

static void arm64(void **state)
{
	static const struct prologue_case cases[] = {
		/* Debian's 2.36: stp x29, x30, before an adrp */
		{CODE("\xfd\x7b\xbc\xa9\xfd\x03\x00\x91\xb7\x08\x00\x90"),
		 PROLOGUE_STEPPED, 0},
		/* 2.41: paciasp, which signs the link */
		{CODE("\x3f\x23\x03\xd5\xb7\x08\x00\x90"), PROLOGUE_STEPPED, 0},
		/* bti c, adrp x1 */
		{CODE("\x5f\x24\x03\xd5\x01\x00\x00\x90"), PROLOGUE_ADDRESS, 4},
		{CODE("\xb7\x08\x00\x90"), PROLOGUE_ADDRESS, 0},
		/* cmp x0, #1; b.cs */
		{CODE("\x1f\x04\x00\xf1\x02\x01\x00\x54"), PROLOGUE_STEPPED, 0},
		/* mov x1, x0; add x2, x0, #23; ldrb w3, [x1]; tbnz x0, #63 */
		{CODE("\xe1\x03\x00\xaa\x02\x5c\x00\x91\x23\x00\x40\x39\xa0\x08"
		      "\xf8\xb7"),
		 PROLOGUE_JUMP, 12},
		/* cbz x0 */
		{CODE("\x40\x00\x00\xb4"), PROLOGUE_JUMP, 0},
		/* what writes x0, x30 or sp, then an adrp */
		{CODE("\xe0\x03\x01\xaa\x01\x00\x00\x90"), PROLOGUE_STEPPED, 0},
		{CODE("\xfe\x03\x01\xaa\x01\x00\x00\x90"), PROLOGUE_STEPPED, 0},
		{CODE("\xff\x43\x00\xd1\x01\x00\x00\x90"), PROLOGUE_STEPPED, 0},
		/* ret; b */
		{CODE("\xc0\x03\x5f\xd6\x01\x00\x00\x90"), PROLOGUE_STEPPED, 0},
		{CODE("\x02\x00\x00\x14\x01\x00\x00\x90"), PROLOGUE_STEPPED, 0},
	};

	(void)state;
	check(&prologue_arm64, cases, sizeof(cases) / sizeof(*cases));
}

/* A stand-in is of the kind that it stands for; what may be chosen has one. */
static void check_stand_ins(const struct prologue_machine *machine, unsigned count)
{
	for (unsigned kind = 0; kind < PROLOGUE_KINDS; kind++) {
		const struct prologue_stand_in *stand_in = &machine->stand_in[kind];
		uint8_t code[PROLOGUE_BYTES] = {0};
		struct prologue got;

		assert_true(prologue_name(kind)[0]);
		if (!stand_in->length)
			continue;
		count--;
		memcpy(code, stand_in->code, stand_in->length);
		got = prologue_choose(machine, code, sizeof(code));
		assert_int_equal(got.kind, kind);
		assert_int_equal(got.offset, 0);
	}
	assert_int_equal(count, 0);
}

static void stand_ins_are_of_their_kind(void **state)
{
	(void)state;
	check_stand_ins(&prologue_x86_64, 4);
	check_stand_ins(&prologue_arm64, 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_prologues),
		cmocka_unit_test(no_look_behind_what_is_not_known_or_moves_the_argument),
		cmocka_unit_test(high_registers_are_told_from_low_ones),
		cmocka_unit_test(code_that_ends_is_not_read_past),
		cmocka_unit_test(arm64),
		cmocka_unit_test(stand_ins_are_of_their_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
