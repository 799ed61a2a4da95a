/* request.c: the size that malloc was asked for, read from the variable that holds it in
 * one of libc's own functions. Its debug information says where the variable is at each
 * instruction; where it does not, or says it in a way unknown here, there is no size. */
#include "unwind/parts.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

/* Malloc's functions, and their variables that tell the chunk's size: sysmalloc has it
 * whenever a heap grows, realloc when a chunk's own mapping does. */
static const struct carrier {
	const char *function;
	const char *variable;
	const char *kernel_by;	 /* where the thread must have gone on to; or null */
	bool is_before_rounding; /* it is what the program asked for */
} carriers[] = {
	{"sysmalloc", "nb", NULL, false},
	{"__libc_realloc", "bytes", "mremap", true},
};

enum { CHUNK_HEADER = 8, CHUNK_ALIGN = 16, SMALLEST_CHUNK = 32, DEPTH = 16 };

struct request_place {
	const struct carrier *carrier;
	Dwarf_Attribute location;
	Dwarf_Attribute frame_base;
	bool has_frame_base;
	Dwarf_Addr bias;
};

/* ---- finding the variable ---- */

static const struct carrier *carrier_of(Dwarf_Die *die)
{
	int tag = dwarf_tag(die);
	const char *name = dwarf_diename(die);

	if (!name || (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine))
		return NULL;
	for (unsigned i = 0; i < sizeof(carriers) / sizeof(*carriers); i++)
		if (strcmp(name, carriers[i].function) == 0)
			return &carriers[i];
	return NULL;
}

static bool find_location(Dwarf_Die *function, const char *variable,
			  Dwarf_Attribute *location)
{
	Dwarf_Die child;
	int more;

	for (more = dwarf_child(function, &child); more == 0;
	     more = dwarf_siblingof(&child, &child)) {
		int tag = dwarf_tag(&child);
		const char *name;

		if (tag != DW_TAG_formal_parameter && tag != DW_TAG_variable)
			continue;
		name = dwarf_diename(&child);
		if (name && strcmp(name, variable) == 0)
			return dwarf_attr(&child, DW_AT_location, location) != NULL;
	}
	return false;
}

/* SCOPE is the innermost first; the function proper, which has the frame, comes behind
 * those that were inlined into it. */
static bool find_in_scopes(Dwarf_Die *scope, int count, struct request_place *place)
{
	bool found = false;

	for (int i = 0; i < count; i++) {
		const struct carrier *carrier = found ? NULL : carrier_of(&scope[i]);

		if (carrier &&
		    find_location(&scope[i], carrier->variable, &place->location)) {
			place->carrier = carrier;
			found = true;
		}
		if (dwarf_tag(&scope[i]) != DW_TAG_subprogram)
			continue;
		place->has_frame_base = dwarf_attr(&scope[i], DW_AT_frame_base,
						   &place->frame_base) != NULL;
		break;
	}
	return found;
}

struct request_place *request_find(const struct module *module, uint64_t addr)
{
	struct request_place found = {.bias = 0}, *place = NULL;
	Dwarf_Die *unit = dwfl_module_addrdie(module->dwfl, addr, &found.bias);
	Dwarf_Die *innermost = NULL, *scope = NULL;
	int count = 0;

	if (unit && dwarf_getscopes(unit, addr - found.bias, &innermost) > 0)
		count = dwarf_getscopes_die(&innermost[0], &scope);
	if (count > 0 && find_in_scopes(scope, count, &found)) {
		place = malloc(sizeof(*place));
		if (place)
			*place = found;
	}
	free(innermost);
	free(scope);
	return place;
}

void request_free(struct request_place *place)
{
	free(place);
}

/* ---- evaluating its location ---- */

enum location_kind {
	LOCATION_MEMORY, /* the value is an address: there it is */
	LOCATION_VALUE,	 /* this is it */
};

struct evaluation {
	const struct unwinder *unwinder;
	const struct request_place *place;
	Dwarf_Frame *cfi; /* its rules, or null */
	Dwfl_Frame *frame;
	uint64_t addr;
	enum location_kind kind;
	unsigned depth;
	uint64_t stack[DEPTH];
};

static bool evaluate(struct evaluation *to, const Dwarf_Op *op, size_t count);

static bool push(struct evaluation *to, uint64_t value)
{
	if (to->depth == DEPTH)
		return false;
	to->stack[to->depth++] = value;
	return true;
}

static bool push_register(struct evaluation *to, unsigned number, int64_t offset)
{
	Dwarf_Word value;

	return dwfl_frame_reg(to->frame, number, &value) == 0 &&
	       push(to, value + (uint64_t)offset);
}

/* One value, computed apart from TO's own stack. */
static bool evaluate_apart(struct evaluation *to, const Dwarf_Op *op, size_t count,
			   uint64_t *value)
{
	struct evaluation apart = *to;

	apart.depth = 0;
	apart.kind = LOCATION_MEMORY;
	if (!evaluate(&apart, op, count) || apart.depth != 1)
		return false;
	*value = apart.stack[0];
	return true;
}

static bool push_cfa(struct evaluation *to)
{
	Dwarf_Op *op;
	size_t count;
	uint64_t cfa;

	return to->cfi && dwarf_frame_cfa(to->cfi, &op, &count) == 0 && count &&
	       evaluate_apart(to, op, count, &cfa) && push(to, cfa);
}

static bool push_frame_base(struct evaluation *to, int64_t offset)
{
	Dwarf_Attribute attribute = to->place->frame_base;
	Dwarf_Op *op;
	size_t count;
	uint64_t base;

	return to->place->has_frame_base &&
	       dwarf_getlocation_addr(&attribute, to->addr - to->place->bias, &op, &count,
				      1) == 1 &&
	       evaluate_apart(to, op, count, &base) && push(to, base + (uint64_t)offset);
}

/* Replaces the two uppermost values by one. */
static bool combine(struct evaluation *to, unsigned atom)
{
	uint64_t b, *a;

	if (to->depth < 2)
		return false;
	b = to->stack[--to->depth];
	a = &to->stack[to->depth - 1];
	switch (atom) {
	case DW_OP_plus:
		*a += b;
		return true;
	case DW_OP_minus:
		*a -= b;
		return true;
	case DW_OP_and:
		*a &= b;
		return true;
	case DW_OP_or:
		*a |= b;
		return true;
	default:
		return false;
	}
}

static bool dereference(struct evaluation *to)
{
	uint64_t *top;

	if (!to->depth)
		return false;
	top = &to->stack[to->depth - 1];
	return stack_read(to->unwinder->state, *top, top);
}

/* The operations that come in families of 32. */
static bool step_family(struct evaluation *to, const Dwarf_Op *op, bool is_last)
{
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(to, op->atom - DW_OP_lit0);
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		return push_register(to, op->atom - DW_OP_breg0, (int64_t)op->number);
	if (op->atom < DW_OP_reg0 || op->atom > DW_OP_reg31)
		return combine(to, op->atom);
	/* It names the place, so nothing can come before or after it. */
	to->kind = LOCATION_VALUE;
	return is_last && !to->depth && push_register(to, op->atom - DW_OP_reg0, 0);
}

static bool step(struct evaluation *to, const Dwarf_Op *op, bool is_last)
{
	switch (op->atom) {
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(to, op->number);
	case DW_OP_plus_uconst:
		return push(to, op->number) && combine(to, DW_OP_plus);
	case DW_OP_bregx:
		return push_register(to, (unsigned)op->number, (int64_t)op->number2);
	case DW_OP_fbreg:
		return push_frame_base(to, (int64_t)op->number);
	case DW_OP_call_frame_cfa:
		return push_cfa(to);
	case DW_OP_deref:
		return dereference(to);
	case DW_OP_stack_value:
		to->kind = LOCATION_VALUE;
		return is_last;
	default:
		return step_family(to, op, is_last);
	}
}

static bool evaluate(struct evaluation *to, const Dwarf_Op *op, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!step(to, &op[i], i + 1 == count))
			return false;
	return to->depth > 0;
}

static Dwarf_Frame *frame_rules(const struct module *module, uint64_t addr)
{
	Dwarf_Addr bias;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(module->dwfl, &bias);
	Dwarf_Frame *rules;

	return cfi && dwarf_cfi_addrframe(cfi, addr - bias, &rules) == 0 ? rules : NULL;
}

/* The chunk that malloc makes for BYTES, or for what is a chunk's size already; 0 for
 * what no request comes to, which was read at a wrong place. */
static uint64_t chunk_bytes(const struct carrier *carrier, uint64_t bytes)
{
	if (!carrier->is_before_rounding)
		return bytes % CHUNK_ALIGN || bytes < SMALLEST_CHUNK ? 0 : bytes;
	if (bytes > INT64_MAX)
		return 0;
	bytes = (bytes + CHUNK_HEADER + CHUNK_ALIGN - 1) & ~(uint64_t)(CHUNK_ALIGN - 1);
	return bytes < SMALLEST_CHUNK ? SMALLEST_CHUNK : bytes;
}

bool request_read(const struct unwinder *unwinder, const struct name *name,
		  Dwfl_Frame *frame, const char *innermost, uint64_t *bytes)
{
	const struct request_place *place = name->place;
	struct evaluation to = {
		.unwinder = unwinder,
		.place = place,
		.frame = frame,
		.addr = name->addr,
	};
	Dwarf_Attribute location = place->location;
	const char *kernel_by = place->carrier->kernel_by;
	Dwarf_Op *op;
	size_t count;
	bool good;

	if (kernel_by && (!innermost || strcmp(innermost, kernel_by) != 0))
		return false;
	if (dwarf_getlocation_addr(&location, name->addr - place->bias, &op, &count, 1) !=
	    1)
		return false;
	to.cfi = frame_rules(name->module, name->addr);
	good = evaluate(&to, op, count) &&
	       (to.kind == LOCATION_VALUE || dereference(&to));
	free(to.cfi);
	*bytes = good ? chunk_bytes(place->carrier, to.stack[to.depth - 1]) : 0;
	return *bytes != 0;
}
