#include "owners/python.h"

#include "base/machine.h"
#include "base/subprocess.h"
#include "unwind/objects.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	/* struct _object (Include/object.h): the count of references, and the type; of a
	 * type, behind ob_size, its name (struct _typeobject). */
	OBJECT_TYPE = 8,
	TYPE_NAME = 24,
	METATYPES = 4, /* a type's type's type... is its own, in the end */
	TYPES = 254,
	DEAD = 255, /* in place of a type's number: in a block that is free */
	CPU_S = 2,
	POOL_MOST = 16 << 10, /* from 3.10 on */
	POOL_SMALL = 4 << 10,
	BLOCK_UNIT = 16,
	BLOCKS = POOL_MOST / BLOCK_UNIT,
	PAGE = 4096,
};

#define MEMORY_BYTES (UINT64_C(64) << 20)

/* Objects/obmalloc.c: what a pool of blocks of one size begins with. */
struct pool_header {
	uint64_t used;
	uint64_t free_block;
	uint64_t next_pool, previous_pool;
	uint32_t arena;
	uint32_t size_index;
	uint32_t next_offset, most_offset;
};

/* ---- types ---- */

static bool is_pointer(uint64_t value)
{
	return value >= PAGE && value >> ADDRESS_BITS == 0 && value % sizeof(value) == 0;
}

static bool read_word(python_read_fn *read, void *context, uint64_t addr, uint64_t *word)
{
	return !read(context, addr, word, sizeof(*word));
}

static bool is_type(python_read_fn *read, void *context, uint64_t type)
{
	uint64_t name;

	if (!read_word(read, context, type + TYPE_NAME, &name) || !name ||
	    name >> ADDRESS_BITS)
		return false;
	for (unsigned i = 0; i < METATYPES; i++) {
		uint64_t next;

		if (!read_word(read, context, type + OBJECT_TYPE, &next) ||
		    !is_pointer(next))
			return false;
		if (next == type)
			return true;
		type = next;
	}
	return false;
}

/* In front of an object can be what the collector keeps, and in front of that what an
 * instance has (Include/internal/pycore_gc.h, pycore_object.h). */
uint64_t python_type_at(python_read_fn *read, void *context, uint64_t block)
{
	for (unsigned front = 0; front <= 2 * BLOCK_UNIT; front += BLOCK_UNIT) {
		uint64_t head[2];

		if (!read(context, block + front, head, sizeof(head)) && head[0] &&
		    is_pointer(head[1]) && is_type(read, context, head[1]))
			return head[1];
	}
	return 0;
}

int python_type_name(python_read_fn *read, void *context, uint64_t type,
		     char name[PYTHON_NAME])
{
	uint64_t addr;
	uint32_t left, bytes = PYTHON_NAME - 1;
	unsigned i = 0;

	memset(name, 0, PYTHON_NAME);
	if (!read_word(read, context, type + TYPE_NAME, &addr))
		return -ENODATA;
	left = PAGE - (addr & (PAGE - 1));
	if (read(context, addr, name, bytes) &&
	    read(context, addr, name, left < bytes ? left : bytes))
		return -ENODATA;
	while (isalnum((unsigned char)name[i]) || name[i] == '_' || name[i] == '.')
		i++;
	name[i] = '\0';
	return i ? 0 : -ENOENT;
}

/* ---- roots ---- */

struct relabelling {
	struct scan *scan;
	const struct process *process;
	uint64_t type[TYPES];
	unsigned types;
	uint8_t *of; /* a byte a root edge: its type + 1, DEAD, or 0 */
	struct pool_header pool;
	uint64_t pool_at;
	uint32_t pool_bytes; /* 0: there is none at POOL_AT */
	bool is_free[BLOCKS];
};

static int read_memory(void *context, uint64_t addr, void *to, uint32_t bytes)
{
	struct relabelling *all = context;

	return memory_fetch(all->scan->memory, all->scan->pages, addr, to, bytes);
}

/* Constants of a file that nobody has looked at lately are not in memory. */
static int read_anywhere(void *context, uint64_t addr, void *to, uint32_t bytes)
{
	struct relabelling *all = context;

	return read_memory(context, addr, to, bytes)
		       ? object_bytes(all->process, addr, to, bytes)
		       : 0;
}

static bool is_pool(const struct pool_header *pool, uint32_t bytes)
{
	return pool->size_index < 64 &&
	       pool->most_offset == bytes - (pool->size_index + 1) * BLOCK_UNIT;
}

static uint64_t block_bytes(const struct relabelling *all)
{
	return (uint64_t)(all->pool.size_index + 1) * BLOCK_UNIT;
}

/* Where in the pool's blocks ADDR lies: which one. */
static uint64_t block_of(const struct relabelling *all, uint64_t addr)
{
	return (addr - all->pool_at - sizeof(all->pool)) / block_bytes(all);
}

/* A free block begins with the address of the next; those from next_offset on were never
 * handed out. What is in them is of objects that are gone. */
static void find_free(struct relabelling *all)
{
	uint64_t at = all->pool.free_block, bytes = block_bytes(all);

	memset(all->is_free, all->pool.used == 0, sizeof(all->is_free));
	for (uint64_t i = (all->pool.next_offset - sizeof(all->pool)) / bytes; i < BLOCKS;
	     i++)
		all->is_free[i] = true;
	while (at > all->pool_at && at - all->pool_at >= sizeof(all->pool) &&
	       at - all->pool_at < all->pool_bytes && !all->is_free[block_of(all, at)]) {
		all->is_free[block_of(all, at)] = true;
		if (!read_word(read_memory, all, at, &at))
			return;
	}
}

/* Finds the pool that ADDR lies in. */
static void find_pool(struct relabelling *all, uint64_t addr)
{
	static const uint32_t sizes[] = {POOL_MOST, POOL_SMALL};

	if (all->pool_bytes && addr - all->pool_at < all->pool_bytes)
		return;
	all->pool_bytes = 0;
	for (unsigned i = 0; i < 2 && !all->pool_bytes; i++) {
		all->pool_at = addr & -(uint64_t)sizes[i];
		if (!read_memory(all, all->pool_at, &all->pool, sizeof(all->pool)) &&
		    is_pool(&all->pool, sizes[i])) {
			all->pool_bytes = sizes[i];
			find_free(all);
		}
	}
}

static uint8_t type_number(struct relabelling *all, uint64_t type)
{
	unsigned i = 0;

	while (i < all->types && all->type[i] != type)
		i++;
	if (i == TYPES)
		return 0;
	if (i == all->types)
		all->type[all->types++] = type;
	return (uint8_t)(i + 1);
}

static uint8_t type_of_place(struct relabelling *all, uint64_t addr)
{
	uint64_t type;

	find_pool(all, addr);
	if (!all->pool_bytes || addr - all->pool_at < sizeof(all->pool))
		return 0;
	if (all->is_free[block_of(all, addr)])
		return DEAD;
	type = python_type_at(read_memory, all,
			      all->pool_at + sizeof(all->pool) +
				      block_of(all, addr) * block_bytes(all));
	return type ? type_number(all, type) : 0;
}

static void find_types(struct relabelling *all)
{
	const struct scan *scan = all->scan;

	for (uint32_t i = 0; i < scan->root_edges; i++) {
		const struct root_edge *edge = &scan->root_edge[i];

		if (roots_is_anonymous(scan->roots, edge->root))
			all->of[i] = type_of_place(all, edge->addr);
	}
}

static void name_in_child(void *context, void *result)
{
	struct relabelling *all = context;
	char(*name)[PYTHON_NAME] = result;

	subprocess_bound(CPU_S, MEMORY_BYTES);
	for (unsigned i = 0; i < all->types; i++)
		if (python_type_name(read_anywhere, all, all->type[i], name[i]))
			name[i][0] = '\0';
}

/* What edge I counts as from now on: its root's number, or -errno. */
static int64_t new_root(struct relabelling *all, uint32_t i, char (*name)[PYTHON_NAME])
{
	const struct root_edge *edge = &all->scan->root_edge[i];
	char text[PYTHON_NAME + 32];

	if (!all->of[i] || !name[all->of[i] - 1][0])
		return edge->root;
	snprintf(text, sizeof(text), "Python objects of type %s", name[all->of[i] - 1]);
	return roots_rename(all->scan->roots, edge->root, edge->addr, text);
}

/* A pointer of an object that is gone is none. */
static void drop(struct scan *scan, const struct root_edge *edge)
{
	uint8_t *refs = edge_is_interior(edge->to) ? scan->interior_refs : scan->refs;

	if (refs[edge_to(edge->to)] != UINT8_MAX)
		refs[edge_to(edge->to)]--;
	roots_drop_slot(scan->roots, edge->root);
}

static int relabel(struct relabelling *all, char (*name)[PYTHON_NAME])
{
	struct scan *scan = all->scan;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < scan->root_edges; i++) {
		struct root_edge *edge = &scan->root_edge[i];
		int64_t root;

		if (all->of[i] == DEAD) {
			drop(scan, edge);
			continue;
		}
		root = new_root(all, i, name);
		if (root < 0)
			return (int)root;
		edge->root = (uint32_t)root;
		scan->root_edge[kept++] = *edge;
	}
	scan->root_edges = kept;
	return 0;
}

int python_roots(struct scan *scan, const struct process *process, atomic_ulong *beats)
{
	struct relabelling *all = calloc(1, sizeof(*all));
	char(*name)[PYTHON_NAME] = calloc(TYPES, PYTHON_NAME);
	size_t bytes = (size_t)scan->root_edges + 1;
	int error = all && name ? 0 : -ENOMEM;

	if (!error)
		error = chunks_grow(scan->chunks, (void **)&all->of, 0, bytes);
	if (!error) {
		all->scan = scan;
		all->process = process;
		memset(all->of, 0, bytes);
		pages_forget(scan->pages);
		find_types(all);
		/* Without names they stay what they were. */
		if (all->types && !subprocess_run(name_in_child, all, name,
						  (size_t)TYPES * PYTHON_NAME, beats))
			error = relabel(all, name);
		chunks_drop(scan->chunks, (void **)&all->of, bytes);
	}
	free(name);
	free(all);
	return error;
}
