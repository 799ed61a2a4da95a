#include "owners/globals.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Variables of one kind, ascending. */
struct table {
	struct global *global;
	uint32_t count, room;
};

struct globals {
	int fd, debug_fd;
	Elf *elf, *debug;
	uint64_t bias; /* of the process's addresses over the file's */
	uint64_t thread_bytes;
	uint64_t data_end;
	struct table data, thread, code;
};

static int add(struct table *table, const GElf_Sym *symbol, uint64_t bias,
	       const char *name)
{
	if (table->count == table->room) {
		uint32_t room = table->room ? table->room * 2 : 256;
		struct global *grown =
			realloc(table->global, room * sizeof(*table->global));

		if (!grown)
			return -ENOMEM;
		table->global = grown;
		table->room = room;
	}
	table->global[table->count++] = (struct global){
		symbol->st_value + bias, symbol->st_value + bias + symbol->st_size, name};
	return 0;
}

static int take_symbol(struct globals *globals, Elf *elf, const GElf_Shdr *header,
		       const GElf_Sym *symbol)
{
	int type = GELF_ST_TYPE(symbol->st_info);
	const char *name;

	if (!symbol->st_size || symbol->st_shndx == SHN_UNDEF ||
	    (type != STT_OBJECT && type != STT_TLS && type != STT_FUNC))
		return 0;
	name = elf_strptr(elf, header->sh_link, symbol->st_name);
	if (!name || !*name)
		return 0;
	if (type == STT_TLS)
		return add(&globals->thread, symbol, 0, name);
	return add(type == STT_FUNC ? &globals->code : &globals->data, symbol,
		   globals->bias, name);
}

/* The symbol table of TYPE in ELF. 0 when it has one, -ENOENT, -ENOMEM. */
static int take_table(struct globals *globals, Elf *elf, unsigned type)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;
		size_t count;

		if (!gelf_getshdr(section, &header) || header.sh_type != type)
			continue;
		data = elf_getdata(section, NULL);
		count = data && header.sh_entsize ? data->d_size / header.sh_entsize : 0;
		for (size_t i = 0; i < count; i++) {
			GElf_Sym symbol;

			if (gelf_getsym(data, (int)i, &symbol) &&
			    take_symbol(globals, elf, &header, &symbol))
				return -ENOMEM;
		}
		return 0;
	}
	return -ENOENT;
}

static int by_start(const void *left, const void *right)
{
	const struct global *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

static void sort(struct table *table)
{
	if (table->count)
		qsort(table->global, table->count, sizeof(*table->global), by_start);
}

static bool read_headers(struct globals *globals, const struct mapping *mapping)
{
	GElf_Phdr header;
	size_t count;
	bool found = false;

	if (elf_getphdrnum(globals->elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(globals->elf, (int)i, &header))
			continue;
		if (header.p_type == PT_TLS)
			globals->thread_bytes = (header.p_memsz + header.p_align - 1) &
						~(header.p_align - 1);
		if (header.p_type == PT_LOAD && header.p_flags & PF_W &&
		    header.p_vaddr + header.p_memsz > globals->data_end)
			globals->data_end = header.p_vaddr + header.p_memsz;
		if (header.p_type != PT_LOAD || found)
			continue;
		/* The kernel maps whole pages from the one that the segment begins on. */
		if (mapping->offset + (mapping->end - mapping->start) <=
			    header.p_offset ||
		    mapping->offset > header.p_offset + header.p_filesz)
			continue;
		globals->bias = mapping->start - mapping->offset -
				(header.p_vaddr - header.p_offset);
		found = true;
	}
	if (found && globals->data_end)
		globals->data_end += globals->bias;
	return found;
}

/* The debug file by build-id, in the place where Debian and Fedora put it. */
static void open_debug(struct globals *globals)
{
	const char *root = "/usr/lib/debug/.build-id/";
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Nhdr note;
	size_t name, desc;
	char path[256];

	while ((section = elf_nextscn(globals->elf, section))) {
		Elf_Data *data;
		const uint8_t *id;
		int used;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE)
			continue;
		data = elf_getdata(section, NULL);
		if (!data || !gelf_getnote(data, 0, &note, &name, &desc) ||
		    note.n_type != NT_GNU_BUILD_ID || note.n_descsz < 3 ||
		    note.n_descsz > 32)
			continue;
		id = (const uint8_t *)data->d_buf + desc;
		used = snprintf(path, sizeof(path), "%s%02x/", root, id[0]);
		for (unsigned i = 1; i < note.n_descsz; i++)
			used += snprintf(path + used, sizeof(path) - (size_t)used, "%02x",
					 id[i]);
		snprintf(path + used, sizeof(path) - (size_t)used, ".debug");
		globals->debug_fd = open(path, O_RDONLY | O_CLOEXEC);
		if (globals->debug_fd >= 0)
			globals->debug =
				elf_begin(globals->debug_fd, ELF_C_READ_MMAP, NULL);
		return;
	}
}

static int load(struct globals *globals, const struct mapping *mapping)
{
	int error;

	elf_version(EV_CURRENT);
	globals->elf = elf_begin(globals->fd, ELF_C_READ_MMAP, NULL);
	if (!globals->elf || elf_kind(globals->elf) != ELF_K_ELF ||
	    !read_headers(globals, mapping))
		return -ENOENT;
	error = take_table(globals, globals->elf, SHT_SYMTAB);
	if (error == -ENOENT)
		open_debug(globals);
	if (error == -ENOENT && globals->debug)
		error = take_table(globals, globals->debug, SHT_SYMTAB);
	if (error == -ENOENT)
		error = take_table(globals, globals->elf, SHT_DYNSYM);
	if (error)
		return error;
	sort(&globals->data);
	sort(&globals->thread);
	sort(&globals->code);
	return 0;
}

int globals_load(struct globals **globals, const struct process *process,
		 const struct mapping *mapping)
{
	struct globals *new = calloc(1, sizeof(*new));

	*globals = new;
	if (!new)
		return -ENOMEM;
	new->debug_fd = -1;
	new->fd = maps_open(process, mapping);
	return new->fd < 0 ? new->fd : load(new, mapping);
}

void globals_free(struct globals *globals)
{
	if (!globals)
		return;
	elf_end(globals->debug);
	elf_end(globals->elf);
	if (globals->debug_fd >= 0)
		close(globals->debug_fd);
	if (globals->fd >= 0)
		close(globals->fd);
	free(globals->data.global);
	free(globals->thread.global);
	free(globals->code.global);
	free(globals);
}

static const struct global *find(const struct table *table, uint64_t addr)
{
	uint32_t low = 0, high = table->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->global[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr < table->global[low - 1].end ? &table->global[low - 1] : NULL;
}

const struct global *globals_at(const struct globals *globals, uint64_t addr)
{
	return find(&globals->data, addr);
}

const struct global *globals_thread_at(const struct globals *globals, uint64_t offset)
{
	return find(&globals->thread, offset);
}

const struct global *globals_function_at(const struct globals *globals, uint64_t addr)
{
	return find(&globals->code, addr);
}

uint64_t globals_thread_bytes(const struct globals *globals)
{
	return globals->thread_bytes;
}

uint64_t globals_data_end(const struct globals *globals)
{
	return globals->data_end;
}

uint64_t globals_file_address(const struct globals *globals, uint64_t addr)
{
	return addr - globals->bias;
}
