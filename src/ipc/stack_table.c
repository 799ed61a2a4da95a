#include "ipc/stack_table.h"

/* The library in the program is linked with this file: nothing here may call libc. */

static struct stack_header *header_of(void *table)
{
	return table;
}

static uint64_t *cells_of(void *table)
{
	return (void *)((char *)table + STACK_CELLS_AT);
}

static uint32_t *numbers_of(void *table)
{
	return (void *)((char *)table + STACK_NUMBERS_AT);
}

/* Of the window that begins with a cell, how many cells an address of it was ever put
 * into, counted from the first: never less than it was. */
static uint8_t *depth_of(void *table, uint64_t addr)
{
	return (uint8_t *)table + STACK_DEPTHS_AT + stack_cell(addr);
}

static struct stack_slot *slot_at(void *table, uint32_t number)
{
	return (void *)((char *)table + STACK_SLOTS_AT +
			(size_t)number * STACK_SLOT_BYTES);
}

void stack_table_begin(void *table, const struct stack_header *header)
{
	struct stack_header *to = header_of(table);

	*to = *header;
	to->magic = 0;
	to->version = STACK_TABLE_VERSION;
	to->header_bytes = STACK_HEADER_BYTES;
	to->cells = STACK_CELLS;
	to->slots = STACK_SLOTS;
	to->slot_bytes = STACK_SLOT_BYTES;
	__atomic_store_n(&to->magic, STACK_TABLE_MAGIC, __ATOMIC_RELEASE);
}

/* The tag makes a list that was changed and changed back another one. */
static bool take_freed(void *table, uint32_t *number)
{
	struct stack_header *header = header_of(table);
	uint64_t first = __atomic_load_n(&header->free_slot, __ATOMIC_ACQUIRE), next;

	do {
		if (!(uint32_t)first)
			return false;
		*number = (uint32_t)first - 1;
		next = ((first >> 32) + 1) << 32 |
		       __atomic_load_n(&slot_at(table, *number)->next, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&header->free_slot, &first, next, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return true;
}

/* Slots that were never taken have no memory yet: those are the last to be. */
struct stack_slot *stack_table_slot(void *table, uint32_t *number)
{
	struct stack_header *header = header_of(table);
	uint64_t used;

	if (take_freed(table, number))
		return slot_at(table, *number);
	used = __atomic_load_n(&header->used, __ATOMIC_RELAXED);
	do {
		if (used >= STACK_SLOTS) {
			__atomic_fetch_add(&header->dropped, 1, __ATOMIC_RELAXED);
			return NULL;
		}
	} while (!__atomic_compare_exchange_n(&header->used, &used, used + 1, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	*number = (uint32_t)used;
	return slot_at(table, *number);
}

void stack_table_free_slot(void *table, uint32_t number)
{
	struct stack_header *header = header_of(table);
	uint64_t first = __atomic_load_n(&header->free_slot, __ATOMIC_RELAXED), next;

	do {
		__atomic_store_n(&slot_at(table, number)->next, (uint32_t)first,
				 __ATOMIC_RELAXED);
		next = ((first >> 32) + 1) << 32 | (number + 1);
	} while (!__atomic_compare_exchange_n(&header->free_slot, &first, next, false,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* Changes one of the first DEPTH cells of ADDR's window from what it is to another; which
 * it was, or DEPTH when none was. */
static uint32_t change(void *table, uint64_t addr, uint32_t depth, uint64_t from,
		       uint64_t to)
{
	uint64_t *cell = cells_of(table);

	for (uint32_t i = 0; i < depth; i++) {
		uint32_t at = stack_cell_after(addr, i);
		uint64_t expected = from;

		if (__atomic_load_n(&cell[at], __ATOMIC_RELAXED) == from &&
		    __atomic_compare_exchange_n(&cell[at], &expected, to, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return i;
	}
	return depth;
}

/* Most addresses that are looked for are not there, and most windows have none or one:
 * whoever gives an address back had it after it was put, with the depth raised. */
bool stack_table_take(void *table, uint64_t addr, uint32_t *number)
{
	uint32_t depth = __atomic_load_n(depth_of(table, addr), __ATOMIC_RELAXED), at;

	depth = depth < STACK_WINDOW ? depth : STACK_WINDOW;
	at = change(table, addr, depth, addr, STACK_CELL_BUSY);
	if (at == depth)
		return false;
	at = stack_cell_after(addr, at);
	*number = numbers_of(table)[at];
	__atomic_store_n(&cells_of(table)[at], STACK_CELL_FREE, __ATOMIC_RELEASE);
	return true;
}

static void raise_depth(uint8_t *depth, uint8_t least)
{
	uint8_t now = __atomic_load_n(depth, __ATOMIC_RELAXED);

	while (now < least &&
	       !__atomic_compare_exchange_n(depth, &now, least, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

bool stack_table_put(void *table, uint64_t addr, uint32_t number)
{
	struct stack_slot *slot = slot_at(table, number);
	uint32_t at = change(table, addr, STACK_WINDOW, STACK_CELL_FREE, STACK_CELL_BUSY);

	if (at == STACK_WINDOW) {
		__atomic_fetch_add(&header_of(table)->dropped, 1, __ATOMIC_RELAXED);
		stack_table_free_slot(table, number);
		return false;
	}
	raise_depth(depth_of(table, addr), (uint8_t)(at + 1));
	at = stack_cell_after(addr, at);
	slot->addr = addr;
	slot->serial = __atomic_fetch_add(&header_of(table)->serial, 1, __ATOMIC_RELAXED);
	slot->check = stack_check(slot);
	numbers_of(table)[at] = number;
	__atomic_store_n(&cells_of(table)[at], addr, __ATOMIC_RELEASE);
	return true;
}
