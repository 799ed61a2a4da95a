/* names.c: what is known of an address of code, found once and kept. */
#include "unwind/demangle.h"
#include "unwind/parts.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_addr(const void *left, const void *right)
{
	const struct name *a = left, *b = right;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static const char *readable(struct unwinder *unwinder, const char *raw)
{
	char *plain = strndup(raw, symbol_length(raw));
	char *demangled = NULL;
	const char *name;

	if (!plain)
		return NULL;
	if (strncmp(plain, "_Z", 2) == 0)
		demangled = demangle(plain);
	name = strings_intern(unwinder, demangled ? demangled : plain);
	free(demangled);
	free(plain);
	return name;
}

/* The functions by which a program asks malloc for something, by all their names, and
 * those of malloc's own that an entry may have left the stack to by a jump. */
static const char *const malloc_functions[] = {
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"memalign",
	"aligned_alloc",
	"posix_memalign",
	"valloc",
	"pvalloc",
	"free",
	"cfree",
	"malloc_trim",
	"mallopt",
	"__libc_malloc",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_reallocarray",
	"__libc_memalign",
	"__libc_valloc",
	"__libc_pvalloc",
	"__libc_free",
	"__libc_mallopt",
	"__libc_malloc2",
	"__libc_calloc2",
	"_int_malloc",
	"_int_memalign",
	"_int_realloc",
	"_int_free",
	"_mid_memalign",
	"arena_get2",
	"sysmalloc",
	"systrim",
	"tcache_init",
};

bool unwind_is_malloc(const char *function)
{
	size_t length = strcspn(function, ".");

	for (unsigned i = 0; i < sizeof(malloc_functions) / sizeof(*malloc_functions);
	     i++)
		if (strncmp(function, malloc_functions[i], length) == 0 &&
		    !malloc_functions[i][length])
			return true;
	return false;
}

/* Reads the rules at ADDR; false when there are none. A return address without a rule is
 * how a thread's first function ends the chain. */
static bool read_rules(struct name *name, Dwarf_CFI *cfi, Dwarf_Addr addr)
{
	Dwarf_Op memory[3], *op;
	Dwarf_Frame *frame;
	size_t count;
	bool is_signal = false;
	int reg;

	if (!cfi || dwarf_cfi_addrframe(cfi, addr, &frame))
		return false;
	name->has_cfi = true;
	reg = dwarf_frame_info(frame, NULL, NULL, &is_signal);
	name->is_signal = is_signal;
	name->is_outermost = reg >= 0 &&
			     dwarf_frame_register(frame, reg, memory, &op, &count) == 0 &&
			     count == 0 && op == memory;
	free(frame);
	return true;
}

static void find_rules(struct name *name)
{
	Dwfl_Module *module = name->module->dwfl;
	Dwarf_Addr bias;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(module, &bias);

	if (read_rules(name, cfi, name->addr - bias))
		return;
	cfi = dwfl_module_dwarf_cfi(module, &bias);
	read_rules(name, cfi, name->addr - bias);
}

static void fill(struct unwinder *unwinder, struct name *name)
{
	const struct symbols *symbols = module_symbols(name->module);
	const struct symbol *symbol = symbols_at(symbols, name->addr);

	name->start = name->module->bias;
	find_rules(name);
	if (!symbol)
		return;
	name->function = readable(unwinder, symbol->name);
	if (!name->function)
		return;
	name->start = symbol->start;
	name->is_malloc = unwind_is_malloc(name->function);
	if (name->is_malloc && !unwinder->is_plain)
		name->place = request_find(name->module, name->addr);
}

static void free_name(void *name)
{
	request_free(((struct name *)name)->place);
	free(name);
}

const struct name *names_find(struct unwinder *unwinder, uint64_t addr)
{
	struct name key = {.addr = addr}, *name;
	struct name *const *found = tfind(&key, &unwinder->names, by_addr);

	if (found)
		return *found;
	key.module = modules_at(unwinder, addr);
	if (!key.module)
		return NULL;
	name = malloc(sizeof(*name));
	if (!name)
		return NULL;
	*name = key;
	fill(unwinder, name);
	if (tsearch(name, &unwinder->names, by_addr))
		return name;
	free_name(name);
	return NULL;
}

void names_forget(struct unwinder *unwinder)
{
	tdestroy(unwinder->names, free_name);
	unwinder->names = NULL;
}
