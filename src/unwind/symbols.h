/* symbols.h: the functions of one module, sorted, so that a name costs a binary search
 * where libdwfl would go through the whole symbol table. */
#ifndef FRAGSCOPE_SYMBOLS_H
#define FRAGSCOPE_SYMBOLS_H

#include <elfutils/libdwfl.h>
#include <stdint.h>

struct symbol {
	uint64_t start, end;
	uint64_t reach;	  /* the highest end of this and all before it */
	const char *name; /* as in the file, version included; the module's */
};

struct symbols {
	struct symbol *symbol;
	unsigned count;
};

/* The length of NAME without a version ("memcpy@@GLIBC_2.14"). */
int symbol_length(const char *name);

/* Loads what MODULE's own symbol table, its debug file or its dynamic symbols know;
 * nothing, if there is none. 0 or -ENOMEM. */
int symbols_load(struct symbols *symbols, Dwfl_Module *module);
void symbols_free(struct symbols *symbols);

/* The function that covers ADDR, by its plainest name; or null. */
const struct symbol *symbols_at(const struct symbols *symbols, uint64_t addr);

/* The function called NAME, or null. */
const struct symbol *symbols_named(const struct symbols *symbols, const char *name);

/* Widens [*START, *END) to the end of the last function below it and the start of the
 * first one above. */
void symbols_gap(const struct symbols *symbols, uint64_t *start, uint64_t *end);

#endif
