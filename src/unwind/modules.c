/* modules.c: the ELF files whose code the process has mapped, as modules of a session of
 * libdwfl. They are found by executable mappings alone: a file that is mapped to be read
 * holds no frame. */
#include "base/machine.h"
#include "target/maps.h"
#include "unwind/parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct modules_scan {
	struct unwinder *unwinder;
	struct code_mappings pieces;
	bool changed;
};

static void map_files_path(char path[64], int pid, uint64_t start, uint64_t end)
{
	snprintf(path, 64, "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)start,
		 (unsigned long long)end);
}

static int by_addr(const void *key, const void *element)
{
	const uint64_t *addr = key;
	const struct code_mapping *piece = element;

	return *addr < piece->start ? -1 : *addr >= piece->end;
}

static const struct code_mapping *piece_at(const struct code_mappings *pieces,
					   uint64_t addr)
{
	if (!pieces->count)
		return NULL;
	return bsearch(&addr, pieces->piece, pieces->count, sizeof(*pieces->piece),
		       by_addr);
}

static struct code_mapping *add_piece(struct code_mappings *pieces)
{
	unsigned room = pieces->room ? pieces->room * 2 : 32;
	struct code_mapping *piece;

	if (pieces->count == pieces->room) {
		piece = reallocarray(pieces->piece, room, sizeof(*piece));
		if (!piece)
			return NULL;
		pieces->piece = piece;
		pieces->room = room;
	}
	return &pieces->piece[pieces->count++];
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The same mapping as at the last scan is of the same file, unless all of its place was
 * mapped anew with another: that is modules_is_fresh's to find. */
static bool is_unchanged(const struct unwinder *unwinder, const struct code_mapping *old,
			 const struct mapping *mapping)
{
	return old && old->start == mapping->start && old->end == mapping->end &&
	       old->offset == mapping->offset && old->inode == mapping->inode &&
	       modules_is_fresh(unwinder, mapping->start, true);
}

struct stale_look {
	const struct unwinder *unwinder;
	unsigned count;
};

static int compare(const struct mapping *mapping, void *context)
{
	struct stale_look *look = context;

	if (!mapping->inode || !(mapping->flags & MAP_EXEC))
		return 0;
	look->count++;
	return !is_unchanged(look->unwinder,
			     piece_at(&look->unwinder->pieces, mapping->start), mapping);
}

int modules_are_stale(const struct unwinder *unwinder)
{
	struct stale_look look = {.unwinder = unwinder};
	int changed = maps_scan(unwinder->process, compare, &look);

	return changed ? changed : look.count != unwinder->pieces.count;
}

static int look_at(const struct mapping *mapping, void *context)
{
	struct modules_scan *scan = context;
	const struct code_mapping *old;
	struct code_mapping *piece;

	if (!mapping->inode || !(mapping->flags & MAP_EXEC))
		return 0;
	old = piece_at(&scan->unwinder->pieces, mapping->start);
	piece = add_piece(&scan->pieces);
	if (!piece)
		return -ENOMEM;
	if (is_unchanged(scan->unwinder, old, mapping)) {
		*piece = *old;
		return 0;
	}
	*piece = (struct code_mapping){
		.start = mapping->start,
		.end = mapping->end,
		.offset = mapping->offset,
		.inode = mapping->inode,
		.fd = maps_open(scan->unwinder->process, mapping),
		.name = strings_intern(scan->unwinder, base_name(mapping->name)),
	};
	scan->changed = true;
	return piece->name ? 0 : -ENOMEM;
}

static void free_pieces(struct code_mappings *pieces)
{
	for (unsigned i = 0; i < pieces->count; i++)
		if (pieces->piece[i].fd >= 0)
			close(pieces->piece[i].fd);
	free(pieces->piece);
	*pieces = (struct code_mappings){0};
}

/* How far above its own addresses the file lies whose bytes from OFFSET on are mapped at
 * START as code. */
static bool find_bias(Elf *elf, const struct code_mapping *piece, uint64_t *bias)
{
	uint64_t page_bytes = machine_page_bytes();
	GElf_Phdr header;
	size_t count;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD ||
		    !(header.p_flags & PF_X))
			continue;
		if (piece->offset < (header.p_offset & -page_bytes) ||
		    piece->offset >= header.p_offset + header.p_filesz)
			continue;
		*bias = piece->start - piece->offset + header.p_offset - header.p_vaddr;
		return true;
	}
	return false;
}

static bool look_inside(const struct machine *machine, const struct code_mapping *piece,
			uint64_t *bias)
{
	Elf *elf = elf_begin(piece->fd, ELF_C_READ_MMAP, NULL);
	GElf_Ehdr header;
	bool good = elf && elf_kind(elf) == ELF_K_ELF &&
		    gelf_getclass(elf) == ELFCLASS64 && gelf_getehdr(elf, &header) &&
		    header.e_machine == machine->elf && find_bias(elf, piece, bias);

	elf_end(elf);
	return good;
}

static struct module *known_module(struct unwinder *unwinder, const struct stat *stat,
				   uint64_t bias)
{
	for (struct module *module = unwinder->modules; module; module = module->next)
		if (module->device == stat->st_dev && module->inode == stat->st_ino &&
		    module->bias == bias)
			return module;
	return NULL;
}

/* Makes the way back from the session's module to ours. */
static void own(struct module *module)
{
	void **data;

	dwfl_module_info(module->dwfl, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	*data = module;
	module->is_kept = true;
}

/* Gives PIECE's file to the session; its descriptor is the session's then. */
static struct module *new_module(struct unwinder *unwinder, struct code_mapping *piece,
				 const struct stat *stat, uint64_t bias)
{
	struct module *module = calloc(1, sizeof(*module));

	if (!module)
		return NULL;
	module->name = piece->name;
	module->device = stat->st_dev;
	module->inode = stat->st_ino;
	module->bias = bias;
	snprintf(module->key, sizeof(module->key), "%u", ++unwinder->last_key);
	module->dwfl = dwfl_report_elf(unwinder->dwfl, module->key, piece->name,
				       piece->fd, bias, true);
	if (!module->dwfl) {
		free(module);
		return NULL;
	}
	piece->fd = -1;
	own(module);
	module->next = unwinder->modules;
	unwinder->modules = module;
	return module;
}

static void adopt(struct unwinder *unwinder, struct code_mapping *piece)
{
	struct stat stat;
	uint64_t bias;

	if (fstat(piece->fd, &stat) == 0 &&
	    look_inside(unwinder->machine, piece, &bias)) {
		piece->module = known_module(unwinder, &stat, bias);
		if (!piece->module)
			piece->module = new_module(unwinder, piece, &stat, bias);
	}
	if (piece->fd >= 0)
		close(piece->fd);
	piece->fd = -1;
}

static void keep(struct unwinder *unwinder, struct module *module)
{
	Dwarf_Addr low, high;

	if (module->is_kept)
		return;
	dwfl_module_info(module->dwfl, NULL, &low, &high, NULL, NULL, NULL, NULL);
	if (dwfl_report_module(unwinder->dwfl, module->key, low, high) == module->dwfl)
		own(module);
}

static void free_module(struct module *module)
{
	symbols_free(&module->symbols);
	free(module);
}

static void drop_modules(struct unwinder *unwinder)
{
	struct module **at = &unwinder->modules;

	while (*at) {
		struct module *module = *at;

		if (module->is_kept) {
			at = &module->next;
			continue;
		}
		*at = module->next;
		free_module(module);
	}
}

/* Everything that is still mapped is reported to the session, which ends what is not. */
static int settle(struct unwinder *unwinder, struct code_mappings *pieces)
{
	for (struct module *module = unwinder->modules; module; module = module->next)
		module->is_kept = false;
	dwfl_report_begin(unwinder->dwfl);
	for (unsigned i = 0; i < pieces->count; i++) {
		struct code_mapping *piece = &pieces->piece[i];

		if (piece->fd >= 0)
			adopt(unwinder, piece);
		if (piece->module)
			keep(unwinder, piece->module);
	}
	drop_modules(unwinder);
	free_pieces(&unwinder->pieces);
	unwinder->pieces = *pieces;
	return dwfl_report_end(unwinder->dwfl, NULL, NULL) ? -ENOMEM : 1;
}

int modules_scan(struct unwinder *unwinder)
{
	struct modules_scan scan = {.unwinder = unwinder};
	int error = maps_scan(unwinder->process, look_at, &scan);

	if (error == -ESRCH)
		unwinder->is_gone = true;
	if (error || (!scan.changed && scan.pieces.count == unwinder->pieces.count)) {
		free_pieces(&scan.pieces);
		return error;
	}
	return settle(unwinder, &scan.pieces);
}

void modules_free(struct unwinder *unwinder)
{
	for (struct module *module = unwinder->modules; module; module = module->next)
		module->is_kept = false;
	drop_modules(unwinder);
	free_pieces(&unwinder->pieces);
}

struct module *modules_at(struct unwinder *unwinder, uint64_t addr)
{
	Dwfl_Module *found = dwfl_addrmodule(unwinder->dwfl, addr);
	void **data;

	if (!found)
		return NULL;
	dwfl_module_info(found, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	return *data;
}

bool modules_is_fresh(const struct unwinder *unwinder, uint64_t addr, bool if_unknown)
{
	const struct code_mapping *piece = piece_at(&unwinder->pieces, addr);
	struct stat stat_now;
	char path[64];

	if (unwinder->is_gone || !piece || !piece->module)
		return true;
	map_files_path(path, unwinder->process->pid, piece->start, piece->end);
	if (stat(path, &stat_now) == 0)
		return stat_now.st_ino == piece->module->inode &&
		       stat_now.st_dev == piece->module->device;
	return errno == EPERM ? if_unknown : errno != ENOENT;
}

const struct symbols *module_symbols(struct module *module)
{
	if (!module->has_symbols)
		module->has_symbols = symbols_load(&module->symbols, module->dwfl) == 0;
	return &module->symbols;
}
