#include "ipc/stack_table.h"

#include "ipc/shared.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stack_table {
	struct shared memory;
	struct stack_header header;
};

/* ---- finding it ---- */

static int judge_header(const struct stack_header *header, uint64_t bytes)
{
	if (header->magic != STACK_TABLE_MAGIC)
		return -EPROTO;
	if (header->version != STACK_TABLE_VERSION)
		return -ENOTSUP;
	if (bytes < STACK_TABLE_BYTES || header->header_bytes != STACK_HEADER_BYTES ||
	    header->cells != STACK_CELLS || header->slots != STACK_SLOTS ||
	    header->slot_bytes != STACK_SLOT_BYTES || !header->mean_bytes)
		return -EPROTO;
	return memchr(header->name, '\0', sizeof(header->name)) ? 0 : -EPROTO;
}

static int judge_memory(const struct shared *memory, uint64_t bytes, void *context)
{
	struct stack_header *header = context;
	int error = shared_read(memory, 0, header, sizeof(*header));

	return error ? error : judge_header(header, bytes);
}

int stack_table_open(struct stack_table **table, const struct process *process)
{
	struct stack_table *new = calloc(1, sizeof(*new));
	int error;

	*table = NULL;
	if (!new)
		return -ENOMEM;
	error = shared_find(&new->memory, process, STACK_TABLE_MAPPING, judge_memory,
			    &new->header);
	if (error) {
		stack_table_close(new);
		return error;
	}
	*table = new;
	return 0;
}

void stack_table_close(struct stack_table *table)
{
	if (table)
		shared_close(&table->memory);
	free(table);
}

const struct stack_header *stack_table_header(const struct stack_table *table)
{
	return &table->header;
}

/* ---- the entries ---- */

static int by_addr(const void *left, const void *right)
{
	const struct stack_sample *a = left, *b = right;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

/* The entry of CELL, if it is whole and of ADDR, which still is in its cell. */
static int read_entry(struct stack_table *table, uint32_t cell, uint64_t addr,
		      struct stack_sample *sample)
{
	struct stack_entry entry;
	uint64_t now;
	int error = shared_read(&table->memory, STACK_ENTRIES_AT + cell * sizeof(entry),
				&entry, sizeof(entry));

	if (!error)
		error = shared_read(&table->memory, STACK_CELLS_AT + cell * sizeof(now),
				    &now, sizeof(now));
	if (error)
		return error;
	if (now != addr || entry.check != stack_check(addr, &entry) ||
	    entry.slot >= STACK_SLOTS)
		return -EAGAIN;
	*sample = (struct stack_sample){
		.addr = addr,
		.serial = entry.serial,
		.bytes = entry.bytes,
		.time_ns = entry.time_ns,
		.cell = cell,
		.slot = entry.slot,
	};
	return 0;
}

static int read_entries(struct stack_table *table, const uint64_t *cells,
			struct stack_sample *samples, unsigned *count)
{
	for (uint32_t i = 0; i < STACK_CELLS; i++) {
		int error;

		if (cells[i] == STACK_CELL_FREE || cells[i] == STACK_CELL_BUSY)
			continue;
		error = read_entry(table, i, cells[i], &samples[*count]);
		if (error && error != -EAGAIN)
			return error;
		*count += !error;
	}
	return 0;
}

int stack_table_read(struct stack_table *table, struct stack_sample **samples,
		     unsigned *count)
{
	uint64_t *cells = calloc(STACK_CELLS, sizeof(*cells));
	int error;

	*count = 0;
	*samples = calloc(STACK_CELLS, sizeof(**samples));
	error = cells && *samples ? shared_read(&table->memory, STACK_CELLS_AT, cells,
						STACK_CELLS * sizeof(*cells))
				  : -ENOMEM;
	if (!error)
		error = read_entries(table, cells, *samples, count);
	if (!error)
		error = shared_read(&table->memory, 0, &table->header,
				    sizeof(table->header));
	if (!error)
		error = judge_header(&table->header, STACK_TABLE_BYTES);
	free(cells);
	if (error) {
		free(*samples);
		*samples = NULL;
		return error;
	}
	qsort(*samples, *count, sizeof(**samples), by_addr);
	return 0;
}

int stack_table_stack(struct stack_table *table, const struct stack_sample *sample,
		      struct stack_slot *slot)
{
	struct stack_sample again;
	int error = shared_read(&table->memory,
				STACK_SLOTS_AT + (uint64_t)sample->slot * sizeof(*slot),
				slot, sizeof(*slot));

	if (!error)
		error = read_entry(table, sample->cell, sample->addr, &again);
	if (error)
		return error;
	if (again.serial != sample->serial || slot->stack_bytes > sizeof(slot->stack))
		return -EAGAIN;
	return 0;
}
