#include "probe/entry.h"

#include "glibc/attach.h"
#include "target/maps.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>
#include <unistd.h>

/* ---- the file ---- */

/* The code of the file that malloc's data is of. Data that the file only reserves is
 * anonymous and follows the file's other mappings. */
struct code_search {
	const struct process *process;
	uint64_t data_addr;
	uint64_t last_inode; /* of the mapping before, when it is of a file */
	uint64_t inode;
	int fd;
	bool is_found;
};

static int find_inode(const struct mapping *mapping, void *context)
{
	struct code_search *search = context;

	if (mapping->inode)
		search->last_inode = mapping->inode;
	if (search->data_addr < mapping->start || search->data_addr >= mapping->end)
		return 0;
	search->inode = search->last_inode;
	return 1;
}

static int open_code(const struct mapping *mapping, void *context)
{
	struct code_search *search = context;

	if (mapping->inode != search->inode || !(mapping->flags & MAP_EXEC))
		return 0;
	search->is_found = true;
	search->fd = maps_open(search->process, mapping);
	return search->fd < 0 ? search->fd : 1;
}

static int open_file(const struct process *process, uint64_t data_addr, int *fd)
{
	struct code_search search = {.process = process, .data_addr = data_addr};
	int found = maps_scan(process, find_inode, &search);

	if (found > 0 && search.inode)
		found = maps_scan(process, open_code, &search);
	if (found < 0)
		return found;
	*fd = search.fd;
	return search.is_found ? 0 : -ENOENT;
}

/* ---- the instruction ---- */

static bool is_named(Elf *elf, const GElf_Shdr *section, const GElf_Sym *symbol,
		     const char *wanted)
{
	const char *name = elf_strptr(elf, section->sh_link, symbol->st_name);

	return symbol->st_shndx != SHN_UNDEF &&
	       GELF_ST_TYPE(symbol->st_info) == STT_FUNC && name &&
	       strcmp(name, wanted) == 0;
}

/* The function NAME's address by the symbol table of TYPE. A library exports it; a static
 * program has it in its full table only. */
static int find_symbol(Elf *elf, unsigned type, const char *name, uint64_t *addr)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr section;
	GElf_Sym symbol;

	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data;

		if (!gelf_getshdr(scn, &section) || section.sh_type != type)
			continue;
		data = elf_getdata(scn, NULL);
		for (int i = 0; data && gelf_getsym(data, i, &symbol); i++)
			if (is_named(elf, &section, &symbol, name)) {
				*addr = symbol.st_value;
				return 0;
			}
	}
	return -ENOENT;
}

/* The offset in the file of ADDR, and the *BYTES that its segment has from there on. */
static int file_offset(Elf *elf, uint64_t addr, uint64_t *offset, uint64_t *bytes)
{
	GElf_Phdr header;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return -ENOEXEC;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
		    !(header.p_flags & PF_X) || addr < header.p_vaddr ||
		    addr - header.p_vaddr >= header.p_filesz)
			continue;
		*offset = header.p_offset + (addr - header.p_vaddr);
		*bytes = header.p_filesz - (addr - header.p_vaddr);
		return 0;
	}
	return -ENOENT;
}

static int find_offset(Elf *elf, const char *name, uint64_t *offset, uint64_t *bytes)
{
	uint64_t addr;
	int error = find_symbol(elf, SHT_DYNSYM, name, &addr);

	if (error)
		error = find_symbol(elf, SHT_SYMTAB, name, &addr);
	return error ? error : file_offset(elf, addr, offset, bytes);
}

int entry_named(int fd, const char *name, uint64_t *offset, struct prologue *prologue)
{
	uint8_t code[PROLOGUE_BYTES];
	uint64_t start = 0, bytes = 0;
	int error = -ENOEXEC;
	ssize_t length;
	Elf *elf;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOEXEC;
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF)
		error = find_offset(elf, name, &start, &bytes);
	elf_end(elf);
	if (error)
		return error;
	length = pread(fd, code, bytes < sizeof(code) ? bytes : sizeof(code),
		       (off_t)start);
	if (length < 0)
		return -errno;
	*prologue = prologue_choose(PROLOGUE_HERE, code, (size_t)length);
	*offset = start + prologue->offset;
	return 0;
}

int entry_in_file(int fd, uint64_t *offset, struct prologue *prologue)
{
	return entry_named(fd, "malloc", offset, prologue);
}

/* ---- both ---- */

static int cannot_open(const struct process *process, int error, struct fault *fault)
{
	if (error == -EPERM)
		return fault_set(
			fault, EXIT_NOT_PERMITTED, error,
			"cannot open the file that holds process %d's malloc: it "
			"was replaced on disk, and reaching the old one takes "
			"root or CAP_CHECKPOINT_RESTORE",
			process->pid);
	return fault_set(fault, EXIT_FAILED, error,
			 "cannot open the file that holds process %d's malloc: %s",
			 process->pid, strerror(-error));
}

int entry_find(struct entry *entry, const struct process *process, struct fault *fault)
{
	struct attached attached;
	int error = attach(process, &attached, fault);

	if (error)
		return error;
	error = open_file(process, attached.instance[0].main_arena, &entry->fd);
	if (error)
		return cannot_open(process, error, fault);
	error = entry_in_file(entry->fd, &entry->offset, &entry->prologue);
	if (!error)
		return 0;
	entry_close(entry);
	return fault_set(fault, EXIT_NO_SOURCE, error,
			 "cannot find where process %d's malloc begins: %s", process->pid,
			 error == -ENOENT
				 ? "no symbol says so: its program is static and stripped"
				 : strerror(-error));
}

void entry_close(struct entry *entry)
{
	if (entry->fd >= 0)
		close(entry->fd);
	entry->fd = -1;
}
