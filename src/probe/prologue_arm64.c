/* prologue_arm64.c: the instructions of arm64. What saves or signs the link register, and
 * what moves the stack pointer, is not looked behind. */
#include "base/bytes.h"
#include "probe/prologue.h"

enum { BYTES = 4, REGISTER = 31, LINK = 30, ARGUMENT = 0 };

/* Instructions with any of MASK's bits as in VALUE (Arm ARM, C4.1). */
static const struct pattern {
	uint32_t mask, value;
	bool is_emulated; /* simulate-insn.c in the kernel's arch/arm64 */
	enum prologue_kind kind;
	bool writes; /* the register in its lowest bits */
} patterns[] = {
	{0xffffffff, 0xd503201f, false, 0, false},		 /* nop */
	{0xffffff3f, 0xd503241f, false, 0, false},		 /* bti */
	{0x1f000000, 0x10000000, true, PROLOGUE_ADDRESS, false}, /* adr, adrp */
	{0xff000010, 0x54000000, true, PROLOGUE_JUMP, false},	 /* b.cond */
	{0x7e000000, 0x34000000, true, PROLOGUE_JUMP, false},	 /* cbz, cbnz */
	{0x7e000000, 0x36000000, true, PROLOGUE_JUMP, false},	 /* tbz, tbnz */
	{0x1f800000, 0x11000000, false, 0, true},		 /* add, sub, cmp */
	{0x7fe0ffe0, 0x2a0003e0, false, 0, true},		 /* mov */
	{0x3fc00000, 0x39400000, false, 0, true},		 /* ldr, ldrb */
};

/* Whether the argument, the link and the stack stay as they are. */
static bool is_harmless(uint32_t word)
{
	unsigned written = word & REGISTER;

	return written != ARGUMENT && written != LINK && written != REGISTER;
}

static struct prologue_step decode(const uint8_t *code)
{
	uint32_t word = bytes_u32(code);

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns); i++) {
		const struct pattern *pattern = &patterns[i];

		if ((word & pattern->mask) != pattern->value)
			continue;
		if (pattern->writes && !is_harmless(word))
			break;
		return (struct prologue_step){BYTES, pattern->is_emulated, pattern->kind};
	}
	return (struct prologue_step){.length = 0};
}

#define RET 0xc0, 0x03, 0x5f, 0xd6

const struct prologue_machine prologue_arm64 = {
	.longest_bytes = BYTES,
	.decode = decode,
	.stand_in =
		{
			[PROLOGUE_JUMP] = {{0x21, 0x00, 0x00, 0xb4, RET},
					   8}, /* cbz x1, ret */
			[PROLOGUE_ADDRESS] = {{0x01, 0x00, 0x00, 0x10, RET},
					      8}, /* adr x1 */
			[PROLOGUE_STEPPED] = {{0xfd, 0x7b, 0xbf, 0xa9, 0xfd, 0x7b, 0xc1,
					       0xa8, RET},
					      12}, /* stp, ldp */
		},
};
