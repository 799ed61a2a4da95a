/* syscall.c: where a function of libc has its return address while it is in the kernel.
 */
#include "unwind/parts.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The file's bytes from address ADDR (of the file's own) on, at most SIZE. */
static const uint8_t *code_at(Elf *elf, uint64_t addr, uint64_t *size)
{
	GElf_Phdr header;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
		    addr < header.p_vaddr || addr - header.p_vaddr >= header.p_filesz)
			continue;
		if (*size > header.p_filesz - (addr - header.p_vaddr))
			*size = header.p_filesz - (addr - header.p_vaddr);
		data = elf_getdata_rawchunk(
			elf, (int64_t)(header.p_offset + (addr - header.p_vaddr)), *size,
			ELF_T_BYTE);
		return data ? data->d_buf : NULL;
	}
	return NULL;
}

/* How far into CODE its first system call is, or -1. */
static int64_t find_syscall(const struct machine *machine, const uint8_t *code,
			    uint64_t size)
{
	for (uint64_t i = 0; i + machine->syscall_bytes <= size;
	     i += machine->instruction_step)
		if (memcmp(code + i, machine->syscall, machine->syscall_bytes) == 0)
			return (int64_t)i;
	return -1;
}

/* The canonical frame address as a distance from the stack pointer. */
static bool cfa_distance(const struct machine *machine, Dwarf_Frame *frame, int *distance)
{
	Dwarf_Op *op;
	size_t count;

	if (dwarf_frame_cfa(frame, &op, &count) || count != 1)
		return false;
	if (op->atom == DW_OP_breg0 + machine->stack_pointer) {
		*distance = (int)op->number;
		return true;
	}
	*distance = (int)op->number2;
	return op->atom == DW_OP_bregx && op->number == machine->stack_pointer;
}

/* Where the rules of FRAME have the return address: see unwind_return_offset. */
static bool return_place(const struct machine *machine, Dwarf_Frame *frame, int *offset)
{
	int reg = dwarf_frame_info(frame, NULL, NULL, NULL), distance;
	Dwarf_Op memory[3], *op;
	size_t count;

	if (reg < 0 || dwarf_frame_register(frame, reg, memory, &op, &count) ||
	    !cfa_distance(machine, frame, &distance))
		return false;
	*offset = UNWIND_IN_REGISTER;
	if (count == 0) /* and no place: it is as it was, else it is lost */
		return !op;
	*offset = distance + (count == 2 ? (int)op[1].number : 0);
	return op[0].atom == DW_OP_call_frame_cfa &&
	       (count == 1 || (count == 2 && op[1].atom == DW_OP_plus_uconst));
}

/* The address of the first system call in FUNCTION, or 0. */
static uint64_t syscall_in(const struct machine *machine, Dwfl_Module *module,
			   const struct symbol *function)
{
	uint64_t size = function->end - function->start;
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(module, &bias);
	const uint8_t *code = elf ? code_at(elf, function->start - bias, &size) : NULL;
	int64_t at = code ? find_syscall(machine, code, size) : -1;

	return at < 0 ? 0 : function->start + (uint64_t)at;
}

int unwind_return_offset(struct unwinder *unwinder, uint64_t addr, const char *function,
			 int *offset)
{
	const struct machine *machine = unwinder->machine;
	struct module *module = modules_at(unwinder, addr);
	const struct symbol *symbol =
		module ? symbols_named(module_symbols(module), function) : NULL;
	uint64_t at = symbol ? syscall_in(machine, module->dwfl, symbol) : 0;
	Dwarf_Frame *frame;
	Dwarf_CFI *cfi;
	Dwarf_Addr bias;
	bool is_known;

	if (!at)
		return -ENOENT;
	cfi = dwfl_module_eh_cfi(module->dwfl, &bias);
	if (!cfi || dwarf_cfi_addrframe(cfi, at - bias, &frame))
		return -ENOENT;
	is_known = return_place(machine, frame, offset);
	free(frame);
	return is_known ? 0 : -ENOENT;
}
