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
	if (bytes < STACK_DEPTHS_AT || header->header_bytes != STACK_HEADER_BYTES ||
	    header->cells != STACK_CELLS || header->slots != STACK_SLOTS ||
	    header->slot_bytes != STACK_SLOT_BYTES || !header->mean_bytes ||
	    header->start_ns < 0)
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

/* ---- what is in it ---- */

static int by_addr(const void *left, const void *right)
{
	const struct stack_sample *a = left, *b = right;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static uint64_t slot_offset(uint32_t number)
{
	return STACK_SLOTS_AT + (uint64_t)number * STACK_SLOT_BYTES;
}

/* Whether ADDR still is in CELL, with the slot NUMBER: 0, -EAGAIN or -errno. */
static int check_cell(struct stack_table *table, uint32_t cell, uint64_t addr,
		      uint32_t number)
{
	uint64_t now;
	uint32_t of;
	int error = shared_read(&table->memory, STACK_NUMBERS_AT + cell * sizeof(of), &of,
				sizeof(of));

	if (!error)
		error = shared_read(&table->memory, STACK_CELLS_AT + cell * sizeof(now),
				    &now, sizeof(now));
	return error ? error : now == addr && of == number ? 0 : -EAGAIN;
}

/* What the slot of CELL says of ADDR. */
static int read_cell(struct stack_table *table, uint32_t cell, uint64_t addr,
		     struct stack_sample *sample)
{
	struct stack_slot slot;
	uint32_t number;
	int error = shared_read(&table->memory, STACK_NUMBERS_AT + cell * sizeof(number),
				&number, sizeof(number));

	if (error)
		return error;
	if (number >= STACK_SLOTS)
		return -EAGAIN;
	error = shared_read(&table->memory, slot_offset(number), &slot,
			    offsetof(struct stack_slot, reg));
	if (!error)
		error = check_cell(table, cell, addr, number);
	if (error)
		return error;
	/* The clock's times are not negative: ages are differences to such a one. */
	if (slot.addr != addr || slot.check != stack_check(&slot) || slot.time_ns < 0)
		return -EAGAIN;
	*sample = (struct stack_sample){
		.addr = addr,
		.serial = slot.serial,
		.bytes = slot.bytes,
		.time_ns = slot.time_ns,
		.cell = cell,
		.slot = number,
	};
	return 0;
}

static int read_cells(struct stack_table *table, const uint64_t *cells,
		      struct stack_sample *samples, unsigned *count)
{
	for (uint32_t i = 0; i < STACK_CELLS; i++) {
		int error;

		if (cells[i] == STACK_CELL_FREE || cells[i] == STACK_CELL_BUSY)
			continue;
		error = read_cell(table, i, cells[i], &samples[*count]);
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
		error = read_cells(table, cells, *samples, count);
	if (!error)
		error = shared_read(&table->memory, 0, &table->header,
				    sizeof(table->header));
	if (!error)
		error = judge_header(&table->header, STACK_TABLE_BYTES);
	free(cells);
	if (error) {
		free(*samples);
		*samples = NULL;
		*count = 0;
		return error;
	}
	qsort(*samples, *count, sizeof(**samples), by_addr);
	return 0;
}

int stack_table_stack(struct stack_table *table, const struct stack_sample *sample,
		      struct stack_slot *slot)
{
	int error = shared_read(&table->memory, slot_offset(sample->slot), slot,
				sizeof(*slot));

	if (!error)
		error = check_cell(table, sample->cell, sample->addr, sample->slot);
	if (error)
		return error;
	if (slot->serial != sample->serial || slot->check != stack_check(slot) ||
	    slot->stack_bytes > sizeof(slot->stack))
		return -EAGAIN;
	return 0;
}
