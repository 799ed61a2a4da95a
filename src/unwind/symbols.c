#include "unwind/symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int symbol_length(const char *name)
{
	return (int)strcspn(name, "@");
}

/* Of the names of one function users know the one without underscores, then the short. */
static int by_plainness(const char *a, const char *b)
{
	int difference = (int)strspn(a, "_") - (int)strspn(b, "_");

	if (!difference)
		difference = symbol_length(a) - symbol_length(b);
	return difference ? difference : strcmp(a, b);
}

static int by_start(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	/* The search takes the last of equals. */
	return -by_plainness(a->name, b->name);
}

static bool is_function(const GElf_Sym *symbol)
{
	int type = GELF_ST_TYPE(symbol->st_info);

	return (type == STT_FUNC || type == STT_GNU_IFUNC) &&
	       symbol->st_shndx != SHN_UNDEF && symbol->st_size;
}

static void sort(struct symbols *symbols)
{
	uint64_t reach = 0;

	qsort(symbols->symbol, symbols->count, sizeof(*symbols->symbol), by_start);
	for (unsigned i = 0; i < symbols->count; i++) {
		if (symbols->symbol[i].end > reach)
			reach = symbols->symbol[i].end;
		symbols->symbol[i].reach = reach;
	}
}

int symbols_load(struct symbols *symbols, Dwfl_Module *module)
{
	int all = dwfl_module_getsymtab(module);

	*symbols = (struct symbols){0};
	if (all <= 0)
		return 0;
	symbols->symbol = calloc(all, sizeof(*symbols->symbol));
	if (!symbols->symbol)
		return -ENOMEM;
	for (int i = 0; i < all; i++) {
		GElf_Sym symbol;
		GElf_Addr addr;
		const char *name = dwfl_module_getsym_info(module, i, &symbol, &addr,
							   NULL, NULL, NULL);

		if (name && name[0] && is_function(&symbol))
			symbols->symbol[symbols->count++] = (struct symbol){
				.start = addr,
				.end = addr + symbol.st_size,
				.name = name,
			};
	}
	sort(symbols);
	return 0;
}

void symbols_free(struct symbols *symbols)
{
	free(symbols->symbol);
	*symbols = (struct symbols){0};
}

/* How many symbols start at or below ADDR. */
static unsigned count_up_to(const struct symbols *symbols, uint64_t addr)
{
	unsigned low = 0, high = symbols->count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (symbols->symbol[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct symbol *symbols_at(const struct symbols *symbols, uint64_t addr)
{
	unsigned i = count_up_to(symbols, addr);

	/* One function may lie inside another: the innermost is nearest. */
	while (i-- && symbols->symbol[i].reach > addr)
		if (symbols->symbol[i].end > addr)
			return &symbols->symbol[i];
	return NULL;
}

const struct symbol *symbols_named(const struct symbols *symbols, const char *name)
{
	int length = (int)strlen(name);

	for (unsigned i = 0; i < symbols->count; i++) {
		const struct symbol *symbol = &symbols->symbol[i];

		if (strncmp(symbol->name, name, length) == 0 &&
		    symbol_length(symbol->name) == length)
			return symbol;
	}
	return NULL;
}

void symbols_gap(const struct symbols *symbols, uint64_t *start, uint64_t *end)
{
	uint64_t below = 0, above = UINT64_MAX;

	for (unsigned i = 0; i < symbols->count; i++) {
		const struct symbol *symbol = &symbols->symbol[i];

		if (symbol->end <= *start && symbol->end > below)
			below = symbol->end;
		if (symbol->start >= *end && symbol->start < above)
			above = symbol->start;
	}
	if (below)
		*start = below;
	if (above != UINT64_MAX)
		*end = above;
}
