#include "owners/globals.h"

#include "base/subprocess.h"
#include "owners/debugfile.h"
#include "owners/tcb.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SYMBOLS_MAX = 1 << 23,
	NAME_MAX_BYTES = 4096,
	FIRST_FREE_FD = 3,
	CPU_S = 10,
};

#define NAMES_MAX_BYTES (UINT64_C(1) << 30)
#define MEMORY_BYTES	(UINT64_C(2) << 30)

enum kind { DATA, THREAD, CODE, KINDS };

/* What the child found, beside the tables. */
struct globals_found {
	uint64_t bias; /* of the process's addresses over the file's */
	uint64_t thread_bytes;
	int64_t thread_block;
	uint64_t data_end;
	bool is_program;
	uint32_t count[KINDS];
	uint64_t names_bytes;
	int error;
};

/* IMAGE is what the child wrote: the tables, each ascending, and the names. */
struct globals {
	struct globals_found found;
	void *image;
	size_t image_bytes;
	const struct global *table[KINDS];
	const char *names;
};

/* ---- in the child ---- */

/* Variables of one kind. */
struct globals_table {
	struct global *global;
	uint32_t count, room;
};

/* A file that is being read. What it says may be anything, and it may be cut short
 * meanwhile, which ends the child. */
struct globals_reading {
	const struct process *process;
	const struct mapping *mapping;
	int out;
	int fd;
	Elf *elf;
	struct globals_found *found;
	struct globals_table table[KINDS];
	FILE *names;
};

static int make_room(struct globals_table *table)
{
	uint32_t room = table->room ? table->room * 2 : 256;
	struct global *grown;

	if (table->count < table->room)
		return 0;
	if (room > SYMBOLS_MAX)
		return -ENOSPC;
	grown = realloc(table->global, room * sizeof(*table->global));
	if (!grown)
		return -ENOMEM;
	table->global = grown;
	table->room = room;
	return 0;
}

static int add(struct globals_reading *reading, enum kind kind, const GElf_Sym *symbol,
	       const char *name)
{
	struct globals_table *table = &reading->table[kind];
	uint64_t start = symbol->st_value + (kind == THREAD ? 0 : reading->found->bias);
	size_t length = strnlen(name, NAME_MAX_BYTES);
	int error = make_room(table);

	if (!error && reading->found->names_bytes + length >= NAMES_MAX_BYTES)
		error = -ENOSPC;
	if (error)
		return error;
	if (fwrite(name, 1, length, reading->names) != length ||
	    fputc('\0', reading->names) == EOF)
		return -EIO;
	table->global[table->count++] = (struct global){start, start + symbol->st_size,
							reading->found->names_bytes};
	reading->found->names_bytes += length + 1;
	return 0;
}

static int take_symbol(struct globals_reading *reading, Elf *elf, const GElf_Shdr *header,
		       const GElf_Sym *symbol)
{
	static const int kinds[] = {
		[STT_OBJECT] = DATA, [STT_FUNC] = CODE, [STT_TLS] = THREAD};
	unsigned type = GELF_ST_TYPE(symbol->st_info);
	const char *name;

	if (!symbol->st_size || symbol->st_shndx == SHN_UNDEF ||
	    (type != STT_OBJECT && type != STT_TLS && type != STT_FUNC))
		return 0;
	name = elf_strptr(elf, header->sh_link, symbol->st_name);
	return name && *name ? add(reading, (enum kind)kinds[type], symbol, name) : 0;
}

static int take_symbols(struct globals_reading *reading, Elf *elf,
			const GElf_Shdr *header, Elf_Data *data)
{
	size_t bytes = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	size_t count = data && bytes ? data->d_size / bytes : 0;
	int error = 0;

	for (size_t i = 0; i < count && i < SYMBOLS_MAX && !error; i++) {
		GElf_Sym symbol;

		if (gelf_getsym(data, (int)i, &symbol))
			error = take_symbol(reading, elf, header, &symbol);
	}
	return error;
}

/* The symbol table of TYPE in ELF. -ENOENT when it has none. */
static int take_table(struct globals_reading *reading, Elf *elf, unsigned type)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == type)
			return take_symbols(reading, elf, &header,
					    elf_getdata(section, NULL));
	return -ENOENT;
}

static int by_start(const void *left, const void *right)
{
	const struct global *a = left, *b = right;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* Linkers give programs alone a DT_DEBUG, in which the loader writes where its list of
 * files is (elf/rtld.c: _r_debug). A static one needs none to be a program. */
static bool is_program(Elf *elf, const GElf_Phdr *dynamic)
{
	Elf_Data *data = elf_getdata_rawchunk(elf, (int64_t)dynamic->p_offset,
					      dynamic->p_filesz, ELF_T_DYN);
	size_t count =
		data ? data->d_size / gelf_fsize(elf, ELF_T_DYN, 1, EV_CURRENT) : 0;
	GElf_Dyn entry;

	for (size_t i = 0; i < count && gelf_getdyn(data, (int)i, &entry); i++)
		if (entry.d_tag == DT_DEBUG)
			return true;
	return false;
}

static void take_header(struct globals_reading *reading, const GElf_Phdr *header)
{
	struct globals_found *file = reading->found;

	if (header->p_type == PT_TLS) {
		file->thread_bytes = header->p_memsz;
		file->thread_block = tcb_block(header->p_memsz, header->p_align);
	}
	if (header->p_type == PT_DYNAMIC && is_program(reading->elf, header))
		file->is_program = true;
	if (header->p_type == PT_LOAD && header->p_flags & PF_W &&
	    header->p_vaddr + header->p_memsz > file->data_end)
		file->data_end = header->p_vaddr + header->p_memsz;
}

static bool read_headers(struct globals_reading *reading)
{
	const struct mapping *mapping = reading->mapping;
	struct globals_found *file = reading->found;
	GElf_Ehdr head;
	GElf_Phdr header;
	size_t count;
	bool found = false;

	if (!gelf_getehdr(reading->elf, &head) || elf_getphdrnum(reading->elf, &count))
		return false;
	file->is_program = head.e_type == ET_EXEC;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(reading->elf, (int)i, &header))
			continue;
		take_header(reading, &header);
		if (header.p_type != PT_LOAD || found)
			continue;
		/* The kernel maps whole pages from the one that the segment begins on. */
		if (mapping->offset + (mapping->end - mapping->start) <=
			    header.p_offset ||
		    mapping->offset > header.p_offset + header.p_filesz)
			continue;
		file->bias = mapping->start - mapping->offset -
			     (header.p_vaddr - header.p_offset);
		found = true;
	}
	if (found && file->data_end)
		file->data_end += file->bias;
	return found;
}

/* The symbols of the debug file. -ENOENT: there is none, or it has none. */
static int take_debug(struct globals_reading *reading)
{
	Elf *debug = debugfile_of(reading->elf);

	return debug ? take_table(reading, debug, SHT_SYMTAB) : -ENOENT;
}

static int take_file(struct globals_reading *reading)
{
	int error;

	elf_version(EV_CURRENT);
	reading->elf = elf_begin(reading->fd, ELF_C_READ_MMAP, NULL);
	if (!reading->elf || elf_kind(reading->elf) != ELF_K_ELF ||
	    !read_headers(reading))
		return -ENOENT;
	error = take_table(reading, reading->elf, SHT_SYMTAB);
	if (error == -ENOENT)
		error = take_debug(reading);
	if (error == -ENOENT)
		error = take_table(reading, reading->elf, SHT_DYNSYM);
	return error;
}

/* The tables go before the names, which are there already. */
static int write_out(struct globals_reading *reading, char *names)
{
	FILE *out = fdopen(reading->out, "w");

	if (!out)
		return -errno;
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct globals_table *table = &reading->table[kind];

		reading->found->count[kind] = table->count;
		if (!table->count)
			continue;
		qsort(table->global, table->count, sizeof(*table->global), by_start);
		fwrite(table->global, sizeof(*table->global), table->count, out);
	}
	fwrite(names, 1, reading->found->names_bytes, out);
	return fflush(out) || ferror(out) ? -EIO : 0;
}

/* Nothing is freed or closed: the child ends. */
static void read_in_child(void *context, void *result)
{
	struct globals_reading *reading = context;
	size_t bytes;
	char *names;

	subprocess_bound(CPU_S, MEMORY_BYTES);
	reading->found = result;
	reading->names = open_memstream(&names, &bytes);
	reading->fd = maps_open(reading->process, reading->mapping);
	if (!reading->names || reading->fd < 0) {
		reading->found->error = reading->names ? reading->fd : -ENOMEM;
		return;
	}
	reading->found->error = take_file(reading);
	if (!reading->found->error && !fflush(reading->names))
		reading->found->error = write_out(reading, names);
}

/* ---- what it found ---- */

static int take_image(struct globals *globals, int fd)
{
	struct globals_found *found = &globals->found;
	const struct global *at;
	size_t count = 0;
	off_t bytes = lseek(fd, 0, SEEK_END);

	for (unsigned kind = 0; kind < KINDS; kind++)
		count += found->count[kind];
	globals->image_bytes = count * sizeof(struct global) + found->names_bytes;
	if (bytes < 0 || (size_t)bytes != globals->image_bytes)
		return -EPROTO;
	if (!bytes)
		return -ENOENT;
	globals->image = mmap(NULL, globals->image_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (globals->image == MAP_FAILED) {
		globals->image = NULL;
		return -ENOMEM;
	}
	at = globals->image;
	for (unsigned kind = 0; kind < KINDS; at += found->count[kind++])
		globals->table[kind] = at;
	globals->names = (const char *)at;
	return 0;
}

int globals_load(struct globals **globals, const struct process *process,
		 const struct mapping *mapping, atomic_ulong *beats)
{
	struct globals *new = calloc(1, sizeof(*new));
	int low = memfd_create("symbols", MFD_CLOEXEC), error;
	struct globals_reading reading = {.process = process, .mapping = mapping};

	*globals = new;
	/* The child's first three are closed to it. */
	reading.out = low < 0 ? -1 : fcntl(low, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	error = reading.out < 0 ? -errno : new ? 0 : -ENOMEM;
	if (low >= 0)
		close(low);
	if (!error)
		error = subprocess_run(read_in_child, &reading, &new->found,
				       sizeof(new->found), beats);
	if (!error)
		error = new->found.error;
	if (!error)
		error = take_image(new, reading.out);
	if (error && new)
		memset(new->found.count, 0, sizeof(new->found.count));
	if (reading.out >= 0)
		close(reading.out);
	return error;
}

void globals_free(struct globals *globals)
{
	if (globals && globals->image)
		munmap(globals->image, globals->image_bytes);
	free(globals);
}

static const struct global *find(const struct globals *globals, enum kind kind,
				 uint64_t addr)
{
	const struct global *table = globals->table[kind];
	uint32_t low = 0, high = globals->found.count[kind];

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr < table[low - 1].end ? &table[low - 1] : NULL;
}

const char *globals_name(const struct globals *globals, const struct global *global)
{
	return global->name < globals->found.names_bytes ? globals->names + global->name
							 : "";
}

const struct global *globals_at(const struct globals *globals, uint64_t addr)
{
	return find(globals, DATA, addr);
}

const struct global *globals_thread_at(const struct globals *globals, uint64_t offset)
{
	return find(globals, THREAD, offset);
}

const struct global *globals_function_at(const struct globals *globals, uint64_t addr)
{
	return find(globals, CODE, addr);
}

uint64_t globals_thread_bytes(const struct globals *globals)
{
	return globals->found.thread_bytes;
}

int64_t globals_thread_block(const struct globals *globals)
{
	return globals->found.thread_block;
}

bool globals_is_program(const struct globals *globals)
{
	return globals->found.is_program;
}

uint64_t globals_data_end(const struct globals *globals)
{
	return globals->found.data_end;
}

uint64_t globals_file_address(const struct globals *globals, uint64_t addr)
{
	return addr - globals->found.bias;
}
