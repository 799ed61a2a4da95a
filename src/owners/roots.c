#include "owners/roots.h"

#include "owners/globals.h"
#include "owners/tcb.h"
#include "target/maps.h"
#include "unwind/objects.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MODULES = 1024,
	THREADS = 4096,
	PATH_TEXT = 192,
	COMM = 32,
	TCB_SEARCH = 64 << 10,
	LIBRARIES_TLS = 4096, /* what libraries' thread-local storage takes, at most */
	SLOTS_APART = 64,     /* of one unnamed table of pointers */
	TLS_UNNAMED = 1,      /* keys that no variable's place has: these are even */
	TLS_RECORD = 3,
};

struct root_module {
	char path[PATH_TEXT];
	uint64_t inode;
	struct mapping mapping; /* one that is of the file; its name is PATH */
	struct globals *globals;
	bool is_loaded, is_libc;
};

struct root_thread {
	int tid;
	char comm[COMM];
	uint64_t sp;  /* of a thread that waits in the kernel, else 0 */
	uint64_t tcb; /* the thread pointer, or 0 */
	uint64_t record_start, record_end;
};

struct code_range {
	uint64_t start, end;
	uint32_t module;
};

struct roots {
	const struct process *process;
	struct chunks *chunks;
	struct memory *memory;
	struct pages *pages;
	struct root_module *module;
	uint32_t module_count, program; /* PROGRAM: one of them */
	struct root_thread *thread;
	uint32_t thread_count;
	struct root_span *span;
	uint32_t span_count, span_room;
	struct code_range *code;
	uint32_t code_count, code_room;
	char (*name)[PATH_TEXT];
	uint32_t name_count, name_room;
	struct root *root;
	uint32_t root_count, root_room;
	uint32_t *hash; /* root + 1, by kind and key */
	uint32_t hash_bits;
	atomic_ulong *beats;
	uint64_t previous_end; /* of the mapping before */
	uint32_t previous_module;
};

/* Makes room for one more of *COUNT elements of SIZE bytes. 0 or -errno. */
static int more(struct roots *roots, void **array, uint32_t count, uint32_t *room,
		size_t size)
{
	uint32_t want = *room ? *room * 2 : 64;
	int error;

	if (count < *room)
		return 0;
	error = chunks_grow(roots->chunks, array, *room * size, want * size);
	if (!error)
		*room = want;
	return error;
}

/* ---- threads ---- */

static void read_thread(struct roots *roots, const char *tid)
{
	struct root_thread *thread = &roots->thread[roots->thread_count];
	char name[64], text[256];
	const char *last;
	ssize_t length;

	*thread = (struct root_thread){.tid = atoi(tid)};
	snprintf(name, sizeof(name), "task/%d/comm", thread->tid);
	if (process_line(roots->process->pid, name, text, sizeof(text)) <= 0)
		return;
	snprintf(thread->comm, sizeof(thread->comm), "%.31s", text);
	/* "NUMBER ARGUMENTS... SP PC", or "running". */
	snprintf(name, sizeof(name), "task/%d/syscall", thread->tid);
	length = process_text(roots->process->pid, name, text, sizeof(text));
	last = length > 0 ? strrchr(text, ' ') : NULL;
	if (last) {
		text[last - text] = '\0';
		last = strrchr(text, ' ');
		thread->sp = last ? strtoull(last + 1, NULL, 16) : 0;
	}
	roots->thread_count++;
}

static void read_threads(struct roots *roots)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", roots->process->pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && roots->thread_count < THREADS)
		if (isdigit((unsigned char)entry->d_name[0]))
			read_thread(roots, entry->d_name);
	if (dir)
		closedir(dir);
}

static uint32_t thread_with_sp_in(const struct roots *roots, uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < roots->thread_count; i++)
		if (roots->thread[i].sp >= start && roots->thread[i].sp < end)
			return i;
	return NO_THREAD;
}

static uint32_t thread_numbered(const struct roots *roots, int tid)
{
	for (uint32_t i = 0; i < roots->thread_count; i++)
		if (roots->thread[i].tid == tid)
			return i;
	return NO_THREAD;
}

/* ---- mappings ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_loader(const char *path)
{
	const char *name = base_name(path);

	return !strncmp(name, "ld-linux", strlen("ld-linux")) ||
	       !strncmp(name, "ld-2.", strlen("ld-2."));
}

static uint32_t module_of(struct roots *roots, const struct mapping *mapping)
{
	struct root_module *module;

	for (uint32_t i = roots->module_count; i-- > 0;)
		if (roots->module[i].inode == mapping->inode &&
		    !strncmp(roots->module[i].path, mapping->name, PATH_TEXT - 1))
			return i;
	if (roots->module_count == MODULES)
		return NO_MODULE;
	module = &roots->module[roots->module_count];
	*module = (struct root_module){.inode = mapping->inode, .mapping = *mapping};
	snprintf(module->path, sizeof(module->path), "%s", mapping->name);
	module->mapping.name = module->path;
	module->is_libc = maps_is_glibc(module->path) || is_loader(module->path);
	return roots->module_count++;
}

static void load_module(struct roots *roots, uint32_t number)
{
	struct root_module *module = &roots->module[number];

	if (module->is_loaded)
		return;
	module->is_loaded = true;
	/* Without names, places are named by the file and their offset in it. */
	(void)globals_load(&module->globals, roots->process, &module->mapping,
			   roots->beats);
}

static int add_span(struct roots *roots, const struct root_span *span)
{
	int error;

	if (span->start >= span->end)
		return 0;
	error = more(roots, (void **)&roots->span, roots->span_count, &roots->span_room,
		     sizeof(*roots->span));
	if (!error)
		roots->span[roots->span_count++] = *span;
	return error;
}

/* What of SPAN is not malloc's. */
static int add_outside(struct roots *roots, struct root_span span)
{
	const struct chunks *chunks = roots->chunks;
	uint64_t end = span.end;

	for (uint32_t i = 0; i < chunks->segment_count; i++) {
		const struct segment *segment = &chunks->segment[i];
		int error;

		if (segment->end <= span.start)
			continue;
		if (segment->start >= end)
			break;
		span.end = segment->start;
		error = add_span(roots, &span);
		if (error)
			return error;
		span.start = segment->end;
	}
	span.end = end;
	return add_span(roots, &span);
}

static uint32_t name_number(struct roots *roots, const char *name)
{
	if (!*name)
		return 0;
	for (uint32_t i = 1; i < roots->name_count; i++)
		if (!strncmp(roots->name[i], name, PATH_TEXT - 1))
			return i;
	if (more(roots, (void **)&roots->name, roots->name_count, &roots->name_room,
		 sizeof(*roots->name)))
		return 0;
	snprintf(roots->name[roots->name_count], PATH_TEXT, "%s", name);
	return roots->name_count++;
}

static int add_code(struct roots *roots, const struct mapping *mapping, uint32_t module)
{
	int error = more(roots, (void **)&roots->code, roots->code_count,
			 &roots->code_room, sizeof(*roots->code));

	if (!error)
		roots->code[roots->code_count++] =
			(struct code_range){mapping->start, mapping->end, module};
	return error;
}

static enum owner_root kind_of(struct roots *roots, const struct mapping *mapping,
			       struct root_span *span)
{
	if (mapping->inode && !(mapping->flags & MAP_IS_SHARED)) {
		span->module = module_of(roots, mapping);
		return OWNER_GLOBAL;
	}
	span->thread = thread_with_sp_in(roots, mapping->start, mapping->end);
	if (!strcmp(mapping->name, "[stack]"))
		span->thread = thread_numbered(roots, roots->process->pid);
	return span->thread == NO_THREAD ? OWNER_MAPPING : OWNER_STACK;
}

/* Below the stack pointer lies what returned functions have left, but for the red zone.
 */
static void skip_dead(const struct roots *roots, struct root_span *span)
{
	uint64_t sp = span->thread == NO_THREAD ? 0 : roots->thread[span->thread].sp;

	if (sp > span->start + 128 && sp < span->end)
		span->start = (sp - 128) & ~UINT64_C(7);
}

/* What a file's data goes on with, zeroes at first, is memory of no file, up to where the
 * file says that its data end. */
static int add_zeroes(struct roots *roots, const struct mapping *mapping,
		      struct root_span *span)
{
	uint32_t module = roots->previous_module;
	struct root_span zeroes = *span;
	uint64_t end;

	if (mapping->inode || mapping->start != roots->previous_end ||
	    module == NO_MODULE)
		return 0;
	load_module(roots, module);
	end = roots->module[module].globals
		      ? globals_data_end(roots->module[module].globals)
		      : 0;
	if (end <= mapping->start)
		return 0;
	zeroes.kind = OWNER_GLOBAL;
	zeroes.module = module;
	zeroes.end = end < mapping->end ? end : mapping->end;
	span->start = zeroes.end;
	return add_outside(roots, zeroes);
}

static int take_mapping(const struct mapping *mapping, void *context)
{
	struct roots *roots = context;
	struct root_span span = {
		.start = mapping->start,
		.end = mapping->end,
		.module = NO_MODULE,
		.thread = NO_THREAD,
	};
	const unsigned writable = MAP_READ | MAP_WRITE;
	int error = 0;

	if (mapping->flags & MAP_EXEC)
		error = add_code(roots, mapping,
				 mapping->inode ? module_of(roots, mapping) : NO_MODULE);
	if (!error && (mapping->flags & writable) == writable) {
		error = add_zeroes(roots, mapping, &span);
		span.kind = kind_of(roots, mapping, &span);
		span.name = name_number(roots, mapping->name);
		if (span.kind == OWNER_STACK)
			skip_dead(roots, &span);
		if (!error)
			error = add_outside(roots, span);
	}
	roots->previous_module = span.module;
	if (mapping->inode && !(mapping->flags & MAP_IS_SHARED))
		roots->previous_module = module_of(roots, mapping);
	roots->previous_end = mapping->end;
	return error;
}

/* ---- thread-local storage ---- */

static const struct globals *program_of(const struct roots *roots)
{
	return roots->module_count ? roots->module[roots->program].globals : NULL;
}

/* Below the record are the program's block, and below that its libraries', of a size that
 * only the loader knows. Above the last return address of a stack there are no frames.
 * BUFFER has what is from START on. */
static uint64_t below_record(const struct roots *roots, const uint8_t *buffer,
			     uint64_t start, const struct tcb *tcb)
{
	const struct globals *globals = program_of(roots);
	uint64_t bytes = globals ? (uint64_t)-globals_thread_block(globals) : 0;
	uint64_t own = bytes < tcb->start - start ? tcb->start - bytes : start;
	uint64_t least = own - start > LIBRARIES_TLS ? own - LIBRARIES_TLS : start;
	uint64_t at = own & ~UINT64_C(7);

	while (at >= least + sizeof(uint64_t)) {
		uint64_t value;

		memcpy(&value, buffer + (at - sizeof(value) - start), sizeof(value));
		if (roots_is_code(roots, value))
			return at;
		at -= sizeof(value);
	}
	return least;
}

/* Above the pointer at the record's end, the program's block and then its libraries'. */
static uint64_t above_record(const struct roots *roots, const struct tcb *tcb)
{
	const struct globals *globals = program_of(roots);

	return tcb->end + LIBRARIES_TLS +
	       (globals ? (uint64_t)globals_thread_block(globals) +
				  globals_thread_bytes(globals)
			: 0);
}

/* Splits span I at the record TCB and the blocks beside it. */
static int split_tls(struct roots *roots, uint32_t i, const uint8_t *buffer,
		     uint64_t start, const struct tcb *tcb, uint32_t thread)
{
	struct root_span span = roots->span[i], tls = span;
	struct root_span *first = &roots->span[i];
	bool is_below = tcb->pointer == tcb->start;
	uint64_t end = is_below ? tcb->end : above_record(roots, tcb);
	int error;

	roots->thread[thread].tcb = tcb->pointer;
	roots->thread[thread].record_start = tcb->start;
	roots->thread[thread].record_end = tcb->end;
	tls.kind = OWNER_TLS;
	tls.thread = thread;
	tls.start = is_below ? below_record(roots, buffer, start, tcb) : tcb->start;
	tls.end = end < span.end ? end : span.end;
	first->end = tls.start;
	if (first->kind == OWNER_MAPPING &&
	    roots->thread[thread].tid != roots->process->pid) {
		first->kind = OWNER_STACK;
		first->thread = thread;
		skip_dead(roots, first);
	}
	error = add_span(roots, &tls);
	span.start = tls.end;
	return error ? error : add_span(roots, &span);
}

/* A thread's record lies near the end of its mapping: at the top of a thread's stack, or
 * in what the loader mapped for the first thread. BUFFER has room for one more. */
static int find_tls(struct roots *roots, uint32_t i, uint8_t *buffer)
{
	const struct root_span span = roots->span[i];
	uint64_t bytes = span.end - span.start < TCB_SEARCH ? span.end - span.start
							    : (uint64_t)TCB_SEARCH;
	uint64_t start = span.end - bytes, at = start;
	struct tcb tcb;

	memset(buffer, 0, TCB_SEARCH + TCB_BYTES);
	while ((at = pages_next_resident(roots->pages, at, span.end)) < span.end) {
		uint64_t run = pages_run_end(roots->pages, at, span.end);
		struct span read = {at, buffer + (at - start), (uint32_t)(run - at)};

		if (roots->memory->read(roots->memory, &read, 1) != 1)
			return 0;
		at = run;
	}
	for (uint64_t offset = -start & (TCB_ALIGN - 1); offset < bytes;
	     offset += TCB_ALIGN) {
		uint32_t thread;

		if (!tcb_at(roots->memory, roots->pages, buffer + offset, start + offset,
			    &tcb))
			continue;
		thread = thread_numbered(roots, (int)tcb.tid);
		if (thread != NO_THREAD)
			return split_tls(roots, i, buffer, start, &tcb, thread);
	}
	return 0;
}

/* Early the loader takes memory from what is left of its data's last page, which with
 * large pages suffices for the first thread's record (elf/dl-minimal-malloc.c). */
static bool may_have_record(const struct roots *roots, const struct root_span *span)
{
	if (span->kind == OWNER_GLOBAL)
		return span->module != NO_MODULE &&
		       is_loader(roots->module[span->module].path);
	return span->kind == OWNER_STACK || (span->kind == OWNER_MAPPING && !span->name);
}

static int find_all_tls(struct roots *roots)
{
	uint8_t *buffer = malloc(TCB_SEARCH + TCB_BYTES);
	int error = buffer ? 0 : -ENOMEM;

	/* Also in what a split leaves above a record: the kernel may have put a thread's
	 * stack right below what the loader mapped for the first thread, as one mapping.
	 */
	for (uint32_t i = 0; i < roots->span_count && !error; i++)
		if (may_have_record(roots, &roots->span[i]))
			error = find_tls(roots, i, buffer);
	free(buffer);
	return error;
}

/* ---- opening ---- */

/* It is mapped below its libraries, but above them where a user started the loader, and
 * that the program. */
static void find_program(struct roots *roots)
{
	for (uint32_t i = 0; i < roots->module_count; i++) {
		load_module(roots, i);
		if (roots->module[i].globals &&
		    globals_is_program(roots->module[i].globals)) {
			roots->program = i;
			return;
		}
	}
}

int roots_new(struct roots **roots, const struct process *process, struct chunks *chunks,
	      struct memory *memory, struct pages *pages, atomic_ulong *beats)
{
	struct roots *new = calloc(1, sizeof(*new));
	int error;

	*roots = new;
	if (!new)
		return -ENOMEM;
	new->process = process;
	new->chunks = chunks;
	new->memory = memory;
	new->pages = pages;
	new->beats = beats;
	new->previous_module = NO_MODULE;
	new->name_count = 1;
	new->module = calloc(MODULES, sizeof(*new->module));
	new->thread = calloc(THREADS, sizeof(*new->thread));
	if (!new->module || !new->thread)
		return -ENOMEM;
	error = more(new, (void **)&new->name, 0, &new->name_room, sizeof(*new->name));
	if (error || !process)
		return error;
	read_threads(new);
	error = maps_scan(process, take_mapping, new);
	if (error)
		return error;
	find_program(new);
	return find_all_tls(new);
}

void roots_free(struct roots *roots)
{
	if (!roots)
		return;
	for (uint32_t i = 0; i < roots->module_count; i++)
		globals_free(roots->module[i].globals);
	free(roots->module);
	free(roots->thread);
	chunks_drop(roots->chunks, (void **)&roots->span,
		    roots->span_room * sizeof(*roots->span));
	chunks_drop(roots->chunks, (void **)&roots->code,
		    roots->code_room * sizeof(*roots->code));
	chunks_drop(roots->chunks, (void **)&roots->name,
		    roots->name_room * sizeof(*roots->name));
	roots_renumber(roots);
	free(roots);
}

void roots_renumber(struct roots *roots)
{
	chunks_drop(roots->chunks, (void **)&roots->root,
		    roots->root_room * sizeof(*roots->root));
	chunks_drop(roots->chunks, (void **)&roots->hash,
		    roots->hash_bits ? sizeof(uint32_t) << roots->hash_bits : 0);
	roots->root_count = roots->root_room = roots->hash_bits = 0;
}

uint32_t roots_span_count(const struct roots *roots)
{
	return roots->span_count;
}

const struct root_span *roots_span(const struct roots *roots, uint32_t i)
{
	return &roots->span[i];
}

static const struct code_range *code_at(const struct roots *roots, uint64_t addr)
{
	uint32_t low = 0, high = roots->code_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (roots->code[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr < roots->code[low - 1].end ? &roots->code[low - 1] : NULL;
}

bool roots_is_code(const struct roots *roots, uint64_t addr)
{
	return code_at(roots, addr) != NULL;
}

/* ---- numbering ---- */

static uint64_t mix(uint64_t kind, uint64_t key)
{
	uint64_t hash = (key + kind) * UINT64_C(0x9e3779b97f4a7c15);

	return hash ^ hash >> 29;
}

static int grow_hash(struct roots *roots)
{
	uint32_t bits = roots->hash_bits ? roots->hash_bits + 1 : 10;
	size_t bytes = sizeof(uint32_t) << bits;
	size_t old = roots->hash_bits ? sizeof(uint32_t) << roots->hash_bits : 0;
	int error = chunks_grow(roots->chunks, (void **)&roots->hash, old, bytes);

	if (error)
		return error;
	memset(roots->hash, 0, bytes);
	roots->hash_bits = bits;
	for (uint32_t i = 0; i < roots->root_count; i++) {
		uint32_t at = (uint32_t)(mix(roots->root[i].kind, roots->root[i].key) >>
					 (64 - bits));

		while (roots->hash[at])
			at = (at + 1) & ((1U << bits) - 1);
		roots->hash[at] = i + 1;
	}
	return 0;
}

static int64_t intern(struct roots *roots, const struct root *root)
{
	uint32_t at, mask;
	int error = 0;

	if (!roots->hash_bits || roots->root_count * 2 >= 1U << roots->hash_bits)
		error = grow_hash(roots);
	if (!error)
		error = more(roots, (void **)&roots->root, roots->root_count,
			     &roots->root_room, sizeof(*roots->root));
	if (error)
		return error;
	mask = (1U << roots->hash_bits) - 1;
	at = (uint32_t)(mix(root->kind, root->key) >> (64 - roots->hash_bits));
	for (; roots->hash[at]; at = (at + 1) & mask) {
		struct root *known = &roots->root[roots->hash[at] - 1];

		if (known->kind == root->kind && known->key == root->key) {
			known->slots++;
			known->last = root->last;
			known->target_bytes = root->target_bytes;
			return roots->hash[at] - 1;
		}
	}
	roots->hash[at] = roots->root_count + 1;
	roots->root[roots->root_count] = *root;
	return roots->root_count++;
}

/* By the variable. Without a name, places close together that point to chunks of one size
 * are one table. */
static uint64_t global_key(struct roots *roots, const struct root *root)
{
	const struct root *last =
		roots->root_count ? &roots->root[roots->root_count - 1] : NULL;
	uint32_t module = roots->span[root->span].module;
	const struct global *global = NULL;

	load_module(roots, module);
	if (roots->module[module].globals)
		global = globals_at(roots->module[module].globals, root->addr);
	if (global)
		return global->start;
	if (last && last->kind == OWNER_GLOBAL && root->addr > last->last &&
	    root->addr - last->last <= SLOTS_APART &&
	    last->target_bytes == root->target_bytes)
		return last->key;
	return root->addr;
}

/* The thread-local variable of the program at ADDR, in the memory of the thread whose
 * pointer is TCB; *OFFSET is the place's in the program's block. Or null. */
static const struct global *thread_global(const struct roots *roots, uint64_t tcb,
					  uint64_t addr, uint64_t *offset)
{
	const struct globals *globals = program_of(roots);

	if (!globals || !tcb)
		return NULL;
	*offset = addr - (tcb + (uint64_t)globals_thread_block(globals));
	return *offset < globals_thread_bytes(globals)
		       ? globals_thread_at(globals, *offset)
		       : NULL;
}

/* Where in the program's block the variable of ROOT's place begins: the same for all
 * threads. Of places without a name, only whether they are in the record. */
static uint64_t thread_key(struct roots *roots, const struct root *root)
{
	const struct root_thread *thread = &roots->thread[root->thread];
	uint64_t offset;
	const struct global *global =
		thread_global(roots, thread->tcb, root->addr, &offset);

	if (root->addr >= thread->record_start && root->addr < thread->record_end)
		return TLS_RECORD;
	return global ? 2 * global->start : (uint64_t)TLS_UNNAMED;
}

/* By the function in whose frame, or near it, the place is. */
static uint64_t stack_key(struct roots *roots, struct root *root, uint64_t code)
{
	const struct code_range *range = code ? code_at(roots, code) : NULL;
	const struct global *function = NULL;

	if (range && range->module != NO_MODULE) {
		load_module(roots, range->module);
		if (roots->module[range->module].globals)
			function = globals_function_at(
				roots->module[range->module].globals, code);
	}
	if (!function)
		return root->thread;
	root->addr = code;
	return function->start;
}

int64_t roots_number(struct roots *roots, uint32_t span_number, uint64_t addr,
		     uint64_t code, uint64_t bytes)
{
	const struct root_span *span = &roots->span[span_number];
	struct root root = {
		.kind = span->kind,
		.span = span_number,
		.addr = addr,
		.last = addr,
		.slots = 1,
		.thread = span->thread,
		.target_bytes = bytes,
	};

	root.is_libc = span->module != NO_MODULE && roots->module[span->module].is_libc;
	if (span->kind == OWNER_GLOBAL && span->module != NO_MODULE)
		root.key = global_key(roots, &root);
	else if (span->kind == OWNER_GLOBAL)
		root.key = span->start;
	else if (span->kind == OWNER_TLS)
		root.key = thread_key(roots, &root);
	else if (span->kind == OWNER_STACK)
		root.key = stack_key(roots, &root, code);
	else /* all mappings of one name */
		root.key = span->name;
	return intern(roots, &root);
}

const struct root *roots_get(const struct roots *roots, uint32_t number)
{
	return &roots->root[number];
}

bool roots_is_anonymous(const struct roots *roots, uint32_t number)
{
	const struct root *root = &roots->root[number];

	return root->kind == OWNER_MAPPING && !root->key;
}

void roots_drop_slot(struct roots *roots, uint32_t number)
{
	roots->root[number].slots--;
}

int64_t roots_rename(struct roots *roots, uint32_t number, uint64_t addr,
		     const char *name)
{
	struct root root = roots->root[number];

	root.key = name_number(roots, name);
	root.addr = root.last = addr;
	root.slots = 1;
	roots_drop_slot(roots, number);
	return intern(roots, &root);
}

/* ---- names ---- */

bool roots_has_python(const struct roots *roots)
{
	for (uint32_t i = 0; i < roots->module_count; i++)
		if (strstr(base_name(roots->module[i].path), "python"))
			return true;
	return false;
}

static void name_global(struct roots *roots, const struct root *root,
			char name[OWNER_NAME], char where[OWNER_NAME])
{
	const struct root_span *span = &roots->span[root->span];
	const struct root_module *module;
	const struct global *global = NULL;

	if (span->module == NO_MODULE)
		return;
	module = &roots->module[span->module];
	if (module->globals)
		global = globals_at(module->globals, root->addr);
	snprintf(where, OWNER_NAME, "%.120s+0x%llx", base_name(module->path),
		 (unsigned long long)(module->globals
					      ? globals_file_address(module->globals,
								     root->key)
					      : root->key - module->mapping.start));
	if (global)
		object_readable(globals_name(module->globals, global), name, OWNER_NAME);
	else
		snprintf(name, OWNER_NAME, "data of %.120s", base_name(module->path));
}

static void name_tls(struct roots *roots, const struct root *root, char name[OWNER_NAME],
		     char where[OWNER_NAME])
{
	const struct globals *globals = program_of(roots);
	const struct global *global = NULL;

	if (root->key != TLS_UNNAMED && root->key != TLS_RECORD)
		global = globals_thread_at(globals, root->key / 2);
	if (global)
		object_readable(globals_name(globals, global), name, OWNER_NAME);
	else
		snprintf(name, OWNER_NAME, "thread-local storage");
	snprintf(where, OWNER_NAME, "%s of thread %s",
		 root->key == TLS_RECORD ? "the C library's record" : "thread-local,",
		 roots->thread[root->thread].comm);
}

static void name_stack(struct roots *roots, const struct root *root,
		       char name[OWNER_NAME], char where[OWNER_NAME])
{
	const struct code_range *range = code_at(roots, root->addr);
	const struct global *function = NULL;

	if (range && range->module != NO_MODULE && roots->module[range->module].globals)
		function = globals_function_at(roots->module[range->module].globals,
					       root->addr);
	if (function) {
		char readable[OWNER_NAME - 16];

		object_readable(
			globals_name(roots->module[range->module].globals, function),
			readable, sizeof(readable));
		snprintf(name, OWNER_NAME, "stack, near %s", readable);
	} else {
		snprintf(name, OWNER_NAME, "stack");
	}
	if (root->thread != NO_THREAD)
		snprintf(where, OWNER_NAME, "thread %s (%d)",
			 roots->thread[root->thread].comm,
			 roots->thread[root->thread].tid);
}

static void name_mapping(struct roots *roots, const struct root *root,
			 char name[OWNER_NAME], char where[OWNER_NAME])
{
	snprintf(name, OWNER_NAME, "%.150s",
		 root->key ? roots->name[root->key] : "anonymous mappings");
	snprintf(where, OWNER_NAME, "the first at 0x%llx",
		 (unsigned long long)roots->span[root->span].start);
}

void roots_name(struct roots *roots, uint32_t number, char name[OWNER_NAME],
		char where[OWNER_NAME])
{
	static void (*const by_kind[OWNER_ROOTS])(struct roots *, const struct root *,
						  char[OWNER_NAME], char[OWNER_NAME]) = {
		[OWNER_GLOBAL] = name_global,
		[OWNER_TLS] = name_tls,
		[OWNER_STACK] = name_stack,
		[OWNER_MAPPING] = name_mapping,
	};
	const struct root *root = &roots->root[number];

	*name = *where = '\0';
	by_kind[root->kind](roots, root, name, where);
}

const struct mapping *roots_file(const struct roots *roots, uint32_t number)
{
	return number < roots->module_count ? &roots->module[number].mapping : NULL;
}

static bool global_variable(const struct roots *roots, const struct root *root,
			    uint64_t addr, struct root_variable *variable)
{
	uint32_t number = roots->span[root->span].module;
	const struct root_module *module;
	const struct global *global;

	if (number == NO_MODULE || !roots->module[number].globals)
		return false;
	module = &roots->module[number];
	global = globals_at(module->globals, addr);
	if (!global)
		return false;
	*variable = (struct root_variable){
		.mapping = &module->mapping,
		.variable = globals_file_address(module->globals, global->start),
		.offset = addr - global->start,
	};
	return true;
}

static bool thread_variable(const struct roots *roots, uint64_t addr,
			    struct root_variable *variable)
{
	for (uint32_t i = 0; i < roots->thread_count; i++) {
		uint64_t offset;
		const struct global *global =
			thread_global(roots, roots->thread[i].tcb, addr, &offset);

		if (!global)
			continue;
		*variable = (struct root_variable){
			.mapping = &roots->module[roots->program].mapping,
			.is_thread = true,
			.variable = global->start,
			.offset = offset - global->start,
		};
		return true;
	}
	return false;
}

bool roots_variable(const struct roots *roots, uint32_t number, uint64_t addr,
		    struct root_variable *variable)
{
	const struct root *root = &roots->root[number];

	if (root->kind == OWNER_GLOBAL)
		return global_variable(roots, root, addr, variable);
	return root->kind == OWNER_TLS && thread_variable(roots, addr, variable);
}

bool roots_stack(const struct roots *roots, uint32_t number, struct root_stack *stack)
{
	const struct root *root = &roots->root[number];
	const struct root_span *span = &roots->span[root->span];

	if (root->kind != OWNER_STACK || root->thread == NO_THREAD)
		return false;
	*stack = (struct root_stack){
		.tid = roots->thread[root->thread].tid,
		.sp = roots->thread[root->thread].sp,
		.end = span->end,
	};
	return true;
}

bool roots_local(struct roots *roots, uint64_t addr, uint64_t pc, uint64_t cfa,
		 struct root_variable *variable)
{
	const struct code_range *range = code_at(roots, pc);
	const struct root_module *module;

	if (!range || range->module == NO_MODULE)
		return false;
	load_module(roots, range->module);
	module = &roots->module[range->module];
	if (!module->globals)
		return false;
	*variable = (struct root_variable){
		.mapping = &module->mapping,
		.code = globals_file_address(module->globals, pc),
		.variable = addr - cfa,
	};
	return true;
}
