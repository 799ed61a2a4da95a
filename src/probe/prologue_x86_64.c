/* prologue_x86_64.c: the instructions of x86-64. */
#include "probe/prologue.h"

#include <string.h>

/* Numbers of registers, and bits of a REX prefix and of a ModRM byte. */
enum {
	REG_SP = 4,
	REG_DI = 7,
	REX_B = 1,
	REX_R = 4,
	MOD_MEMORY = 0,
	MOD_NEAR = 1, /* memory, a displacement of a byte */
	MOD_REGISTER = 3,
	RM_SIB = 4,
	RM_RIP = 5, /* with MOD_MEMORY: a displacement from the instruction's end */
};

/* What an instruction writes. */
enum writes { WRITES_NOTHING, WRITES_REG, WRITES_RM };

/* The plain instructions that compilers put before the first push or jump of malloc. */
static const struct plain {
	unsigned opcode;
	enum writes writes;
	bool only_register; /* known with a register operand only */
	bool only_memory;
	unsigned immediate_bytes;
	int extension; /* the ModRM's middle bits, where they belong to the opcode; or -1
			*/
} plains[] = {
	{0x85, WRITES_NOTHING, true, false, 0, -1}, /* test */
	{0x31, WRITES_RM, true, false, 0, -1},	    /* xor */
	{0x89, WRITES_RM, true, false, 0, -1},	    /* mov from a register */
	{0x8b, WRITES_REG, false, false, 0, -1},    /* mov to a register */
	{0x8d, WRITES_REG, false, true, 0, -1},	    /* lea */
	{0x80, WRITES_NOTHING, false, false, 1, 7}, /* cmp with a byte */
	{0x83, WRITES_NOTHING, false, false, 1, 7}, /* the same, of words */
};

static const struct plain *plain_of(uint8_t opcode)
{
	for (size_t i = 0; i < sizeof(plains) / sizeof(*plains); i++)
		if (plains[i].opcode == opcode)
			return &plains[i];
	return NULL;
}

/* The bytes behind a ModRM byte that belong to its operand, or -1: not known. */
static int operand_bytes(uint8_t modrm)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == MOD_REGISTER)
		return 0;
	if (rm == RM_SIB)
		return -1;
	if (mod == MOD_MEMORY)
		return rm == RM_RIP ? 4 : 0;
	return mod == MOD_NEAR ? 1 : -1;
}

/* Whether the first argument and the stack stay as they are. */
static bool is_harmless(const struct plain *plain, uint8_t rex, uint8_t modrm)
{
	unsigned reg = (modrm >> 3 & 7) + (rex & REX_R ? 8 : 0);
	unsigned rm = (modrm & 7) + (rex & REX_B ? 8 : 0);
	unsigned written = plain->writes == WRITES_REG ? reg : rm;

	return plain->writes == WRITES_NOTHING ||
	       (written != REG_SP && written != REG_DI);
}

/* The length of a plain instruction whose opcode, behind a REX prefix REX (0: none), is
 * at CODE; 0 when it is not one of those that are known. */
static unsigned plain_length(const uint8_t *code, uint8_t rex)
{
	const struct plain *plain = plain_of(code[0]);
	uint8_t modrm = code[1];
	int operand = operand_bytes(modrm);
	bool is_register = modrm >> 6 == MOD_REGISTER;

	if (!plain || operand < 0 || (plain->only_register && !is_register) ||
	    (plain->only_memory && is_register))
		return 0;
	if (plain->extension >= 0 && (modrm >> 3 & 7) != plain->extension)
		return 0;
	if (!is_harmless(plain, rex, modrm))
		return 0;
	return 2 + (unsigned)operand + plain->immediate_bytes;
}

static struct prologue_step decode(const uint8_t *code)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	bool has_rex = (code[0] & 0xf0) == 0x40;
	unsigned plain;

	if (!memcmp(code, endbr64, sizeof(endbr64)))
		return (struct prologue_step){.length = sizeof(endbr64)};
	if (code[0] == 0x90)
		return (struct prologue_step){1, true, PROLOGUE_NOP};
	if ((code[0] & 0xf8) == 0x50)
		return (struct prologue_step){1, true, PROLOGUE_PUSH};
	if (code[0] == 0x41 && (code[1] & 0xf8) == 0x50)
		return (struct prologue_step){2, true, PROLOGUE_PUSH};
	if ((code[0] & 0xf0) == 0x70)
		return (struct prologue_step){2, true, PROLOGUE_JUMP};
	if (code[0] == 0x0f && (code[1] & 0xf0) == 0x80)
		return (struct prologue_step){6, true, PROLOGUE_JUMP};
	plain = plain_length(code + has_rex, has_rex ? code[0] : 0);
	return (struct prologue_step){.length = plain ? has_rex + plain : 0};
}

const struct prologue_machine prologue_x86_64 = {
	.longest_bytes = 15,
	.decode = decode,
	.stand_in =
		{
			[PROLOGUE_PUSH] = {{0x55, 0x5d, 0xc3}, 3}, /* push, pop, ret */
			[PROLOGUE_NOP] = {{0x90, 0xc3}, 2},	   /* nop, ret */
			[PROLOGUE_JUMP] = {{0x78, 0x00, 0xc3}, 3}, /* js to the ret */
			[PROLOGUE_STEPPED] = {{0x48, 0x85, 0xff, 0xc3},
					      4}, /* test, ret */
		},
};
