#include "preload/next.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>

#pragma weak dl_iterate_phdr

/* The dynamic symbols of an object, as its DT_GNU_HASH sorts them. */
struct next_symbols {
	const ElfW(Sym) * symbol;
	const char *names;
	const uint32_t *hash;
	uintptr_t base;
};

struct next_search {
	const char *name;
	uint32_t hash;
	bool is_behind; /* this library */
	struct next next;
};

static uint32_t gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

static bool is_same(const char *left, const char *right)
{
	while (*left && *left == *right) {
		left++;
		right++;
	}
	return *left == *right;
}

/* glibc adds the base to these, musl does not. */
static const void *pointer(const struct dl_phdr_info *info, uintptr_t value)
{
	return (const void *)(value < info->dlpi_addr ? info->dlpi_addr + value : value);
}

static bool find_symbols(const struct dl_phdr_info *info, struct next_symbols *symbols)
{
	const ElfW(Dyn) *entry = NULL;

	*symbols = (struct next_symbols){.base = info->dlpi_addr};
	for (unsigned i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			entry = (const void *)(info->dlpi_addr +
					       info->dlpi_phdr[i].p_vaddr);
	for (; entry && entry->d_tag != DT_NULL; entry++) {
		const void *at = pointer(info, entry->d_un.d_ptr);

		if (entry->d_tag == DT_SYMTAB)
			symbols->symbol = at;
		else if (entry->d_tag == DT_STRTAB)
			symbols->names = at;
		else if (entry->d_tag == DT_GNU_HASH)
			symbols->hash = at;
	}
	return symbols->symbol && symbols->names && symbols->hash;
}

static bool is_function(const struct next_symbols *symbols, uint32_t i, const char *name)
{
	const ElfW(Sym) *symbol = &symbols->symbol[i];

	return symbol->st_shndx != SHN_UNDEF &&
	       ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
	       is_same(symbols->names + symbol->st_name, name);
}

/* The table: four numbers, a filter, the buckets, and from symbol FIRST on a chain each
 * that ends with an odd hash. */
static void *look_up(const struct next_symbols *symbols, const struct next_search *search)
{
	const uint32_t count = symbols->hash[0], first = symbols->hash[1];
	const size_t filter_words = symbols->hash[2] * (sizeof(uintptr_t) / 4);
	const uint32_t *bucket = symbols->hash + 4 + filter_words;
	const uint32_t *chain = bucket + count;
	uint32_t i = count ? bucket[search->hash % count] : 0;

	if (i < first || !i)
		return NULL;
	for (;; i++) {
		if ((chain[i - first] | 1) == (search->hash | 1) &&
		    is_function(symbols, i, search->name))
			return (void *)(symbols->base + symbols->symbol[i].st_value);
		if (chain[i - first] & 1)
			return NULL;
	}
}

static bool holds(const struct dl_phdr_info *info, const void *addr)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
		    (uintptr_t)addr - info->dlpi_addr - part->p_vaddr < part->p_memsz)
			return true;
	}
	return false;
}

/* In this library. */
static const char mark;

static int look_at(struct dl_phdr_info *info, size_t size, void *context)
{
	struct next_search *search = context;
	struct next_symbols symbols;

	(void)size;
	if (!search->is_behind) {
		search->is_behind = holds(info, &mark);
		return 0;
	}
	if (find_symbols(info, &symbols))
		search->next.function = look_up(&symbols, search);
	search->next.object = (uintptr_t)info->dlpi_phdr;
	return search->next.function != NULL;
}

struct next next_find(const char *name)
{
	struct next_search search = {.name = name, .hash = gnu_hash(name)};

	if (dl_iterate_phdr)
		dl_iterate_phdr(look_at, &search);
	return search.next;
}

static int look_for_both(struct dl_phdr_info *info, size_t size, void *context)
{
	const void **function = context;
	bool is_it = holds(info, *function);

	(void)size;
	if (is_it && holds(info, &mark))
		*function = &mark;
	return is_it;
}

bool next_is_here(const void *function)
{
	if (dl_iterate_phdr)
		dl_iterate_phdr(look_for_both, &function);
	return function == &mark;
}
