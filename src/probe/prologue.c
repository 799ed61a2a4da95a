#include "probe/prologue.h"

struct prologue prologue_choose(const struct prologue_machine *machine,
				const uint8_t *code, size_t bytes)
{
	unsigned at = 0;

	while (at + machine->longest_bytes <= bytes) {
		struct prologue_step step = machine->decode(code + at);

		if (step.is_emulated)
			return (struct prologue){step.kind, at, step.length};
		if (!step.length)
			break;
		at += step.length;
	}
	return (struct prologue){.kind = PROLOGUE_STEPPED};
}

const char *prologue_name(enum prologue_kind kind)
{
	static const char *const names[PROLOGUE_KINDS] = {
		[PROLOGUE_PUSH] = "push",
		[PROLOGUE_NOP] = "nop",
		[PROLOGUE_JUMP] = "conditional jump",
		[PROLOGUE_ADDRESS] = "address of data",
		[PROLOGUE_STEPPED] = "an instruction that the kernel does not emulate",
	};

	return names[kind];
}
