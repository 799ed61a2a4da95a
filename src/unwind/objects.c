#include "unwind/objects.h"

#include "target/maps.h"
#include "unwind/demangle.h"

#include <ctype.h>
#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file that is mapped at ADDR, open, and where in it ADDR lies. */
struct object_place {
	const struct process *process;
	uint64_t addr;
	uint64_t offset;
	int fd;
};

static int look_at(const struct mapping *mapping, void *context)
{
	struct object_place *place = context;

	if (place->addr >= mapping->end)
		return 0;
	if (place->addr < mapping->start || !mapping->inode)
		return -ENOENT;
	place->offset = place->addr - mapping->start + mapping->offset;
	place->fd = maps_open(place->process, mapping);
	return place->fd < 0 ? place->fd : 1;
}

static int find_place(struct object_place *place, const struct process *process,
		      uint64_t addr)
{
	int result;

	*place = (struct object_place){.process = process, .addr = addr, .fd = -1};
	result = maps_scan(process, look_at, place);
	if (result == 0)
		return -ENOENT;
	return result < 0 ? result : 0;
}

int object_bytes(const struct process *process, uint64_t addr, void *to, size_t bytes)
{
	struct object_place place;
	int error = find_place(&place, process, addr);
	ssize_t got;

	if (error)
		return error;
	got = pread(place.fd, to, bytes, (off_t)place.offset);
	error = got < 0 ? -errno : got == (ssize_t)bytes ? 0 : -ENOENT;
	close(place.fd);
	return error;
}

/* The address that the file itself has for what lies at OFFSET. */
static bool file_address(Elf *elf, uint64_t offset, uint64_t *addr)
{
	GElf_Phdr header;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
		    offset < header.p_offset ||
		    offset - header.p_offset >= header.p_filesz)
			continue;
		*addr = offset - header.p_offset + header.p_vaddr;
		return true;
	}
	return false;
}

static const char *name_in(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
			   uint64_t addr)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = data && header->sh_entsize ? data->d_size / header->sh_entsize : 0;
	GElf_Sym symbol;

	for (size_t i = 0; i < count; i++) {
		if (!gelf_getsym(data, (int)i, &symbol) ||
		    GELF_ST_TYPE(symbol.st_info) != STT_OBJECT ||
		    addr < symbol.st_value || addr - symbol.st_value >= symbol.st_size)
			continue;
		return elf_strptr(elf, header->sh_link, symbol.st_name);
	}
	return NULL;
}

/* By the symbol table of TYPE, if the file has one. */
static const char *name_by(Elf *elf, unsigned type, uint64_t addr)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == type)
			return name_in(elf, section, &header, addr);
	return NULL;
}

void object_readable(const char *raw, char *name, size_t size)
{
	char *demangled = strncmp(raw, "_Z", 2) ? NULL : demangle(raw);

	snprintf(name, size, "%s", demangled ? demangled : raw);
	free(demangled);
}

static int copy_readable(const char *raw, char *name, size_t size)
{
	object_readable(raw, name, size);
	return name[0] ? 0 : -ENOENT;
}

int object_name(const struct process *process, uint64_t addr, char *name, size_t size)
{
	struct object_place place;
	int error = find_place(&place, process, addr);
	const char *raw = NULL;
	uint64_t at;
	Elf *elf;

	if (error)
		return error;
	elf_version(EV_CURRENT);
	elf = elf_begin(place.fd, ELF_C_READ_MMAP, NULL);
	if (elf && file_address(elf, place.offset, &at)) {
		raw = name_by(elf, SHT_SYMTAB, at);
		if (!raw)
			raw = name_by(elf, SHT_DYNSYM, at);
	}
	error = raw ? copy_readable(raw, name, size) : -ENOENT;
	elf_end(elf);
	close(place.fd);
	return error;
}

/* Types of one letter are none that an object would be of. */
int object_class(const char *mangled, char *name, size_t size)
{
	char *demangled;

	/* Of a type that no other file can know. */
	if (mangled[0] == '*')
		mangled++;
	if (!isdigit((unsigned char)mangled[0]) && mangled[0] != 'N' &&
	    strncmp(mangled, "St", 2) != 0)
		return -ENOENT;
	demangled = demangle(mangled);
	if (!demangled)
		return -ENOENT;
	snprintf(name, size, "%s", demangled);
	free(demangled);
	return 0;
}
