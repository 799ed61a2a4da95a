#include "owners/types.h"

#include "base/subprocess.h"
#include "owners/debugfile.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEPTH = 32, /* of types in each other, and of scopes */
	CPU_S = 5,
	POINTER_BYTES = 8,
	ANY_SIZE = -1, /* of an array without bounds */
};

#define MEMORY_BYTES (UINT64_C(1) << 30)

struct type_search {
	const struct process *process;
	const struct mapping *mapping;
	struct type_path *path;
	unsigned count;
	unsigned found;
	Dwarf *dwarf;
};

/* ---- names ---- */

struct type_text {
	char *text;
	size_t used;
};

static void say(struct type_text *name, const char *text)
{
	size_t room = OWNER_TYPE - 1 - name->used;
	size_t length = strnlen(text, room);

	memcpy(name->text + name->used, text, length);
	name->used += length;
	name->text[name->used] = '\0';
}

static bool type_of(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attribute;

	return dwarf_attr_integrate(die, DW_AT_type, &attribute) &&
	       dwarf_formref_die(&attribute, type);
}

/* "std::", for a type inside that namespace or class. */
static void say_scopes(struct type_text *name, Dwarf_Die *type)
{
	Dwarf_Die *scopes = NULL;
	int count = dwarf_getscopes_die(type, &scopes);

	for (int i = count - 1; i > 0; i--) {
		int tag = dwarf_tag(&scopes[i]);
		const char *scope = dwarf_diename(&scopes[i]);

		if (!scope || (tag != DW_TAG_namespace && tag != DW_TAG_class_type &&
			       tag != DW_TAG_structure_type))
			continue;
		say(name, scope);
		say(name, "::");
	}
	free(scopes);
}

static bool is_c(Dwarf_Die *type)
{
	Dwarf_Die unit;
	int language = dwarf_diecu(type, &unit, NULL, NULL) ? dwarf_srclang(&unit) : -1;

	return language == DW_LANG_C || language == DW_LANG_C89 ||
	       language == DW_LANG_C99 || language == DW_LANG_C11;
}

static void say_plain(struct type_text *name, Dwarf_Die *type)
{
	static const struct {
		int tag;
		const char *word;
	} words[] = {
		{DW_TAG_structure_type, "struct "},
		{DW_TAG_class_type, "class "},
		{DW_TAG_union_type, "union "},
		{DW_TAG_enumeration_type, "enum "},
	};
	const char *own = dwarf_diename(type);

	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (dwarf_tag(type) == words[i].tag && (!own || is_c(type)))
			say(name, words[i].word);
	say_scopes(name, type);
	say(name, own ? own : "without a name");
}

static void say_type(struct type_text *name, Dwarf_Die *type, unsigned depth);

static void say_inner(struct type_text *name, Dwarf_Die *type, unsigned depth)
{
	Dwarf_Die inner;

	if (type_of(type, &inner))
		say_type(name, &inner, depth + 1);
	else
		say(name, "void");
}

static void say_array(struct type_text *name, Dwarf_Die *type, unsigned depth)
{
	Dwarf_Word all = 0, one = 0;
	Dwarf_Die inner;
	char bounds[32] = "[]";

	say_inner(name, type, depth);
	if (type_of(type, &inner) && !dwarf_aggregate_size(type, &all) &&
	    !dwarf_aggregate_size(&inner, &one) && one)
		snprintf(bounds, sizeof(bounds), "[%llu]",
			 (unsigned long long)(all / one));
	say(name, bounds);
}

static void say_type(struct type_text *name, Dwarf_Die *type, unsigned depth)
{
	size_t used;

	if (depth > DEPTH)
		return;
	switch (dwarf_tag(type)) {
	case DW_TAG_pointer_type:
		say_inner(name, type, depth);
		used = name->used;
		say(name, used && name->text[used - 1] == '*' ? "*" : " *");
		return;
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		say_inner(name, type, depth);
		return;
	case DW_TAG_array_type:
		say_array(name, type, depth);
		return;
	case DW_TAG_subroutine_type:
		say(name, "function");
		return;
	default:
		say_plain(name, type);
	}
}

static void name_type(Dwarf_Die *type, char text[OWNER_TYPE])
{
	struct type_text name = {text, 0};

	text[0] = '\0';
	say_type(&name, type, 0);
}

/* ---- what a type says ---- */

/* The type itself, without what qualifies it. */
static bool bare(Dwarf_Die *type)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		switch (dwarf_tag(type)) {
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
		case DW_TAG_typedef:
			if (!type_of(type, type))
				return false;
			break;
		default:
			return true;
		}
	}
	return false;
}

static bool is_record(Dwarf_Die *type)
{
	int tag = dwarf_tag(type);

	return tag == DW_TAG_structure_type || tag == DW_TAG_class_type ||
	       tag == DW_TAG_union_type;
}

/* The definition of the record that TYPE declares only: another unit may have it. */
static bool define(const struct type_search *search, Dwarf_Die *type)
{
	const char *wanted = dwarf_diename(type);
	Dwarf_Off at = 0, next;
	size_t header;

	if (!dwarf_hasattr(type, DW_AT_declaration))
		return true;
	while (wanted &&
	       !dwarf_nextcu(search->dwarf, at, &next, &header, NULL, NULL, NULL)) {
		Dwarf_Die unit, die;
		bool more = dwarf_offdie(search->dwarf, at + header, &unit) &&
			    !dwarf_child(&unit, &die);

		for (; more; more = !dwarf_siblingof(&die, &die)) {
			const char *name = is_record(&die) ? dwarf_diename(&die) : NULL;

			if (!name || strcmp(name, wanted) ||
			    dwarf_hasattr(&die, DW_AT_declaration))
				continue;
			*type = die;
			return true;
		}
		at = next;
	}
	return false;
}

/* Of all of TYPE, or ANY_SIZE. */
static int64_t size_of(Dwarf_Die *type)
{
	Dwarf_Word bytes;

	return dwarf_aggregate_size(type, &bytes) || bytes > INT64_MAX ? ANY_SIZE
								       : (int64_t)bytes;
}

static bool pointer_in(const struct type_search *search, Dwarf_Die *type, uint64_t offset,
		       unsigned depth, Dwarf_Die *to);

static bool pointer_in_member(const struct type_search *search, Dwarf_Die *member,
			      uint64_t offset, unsigned depth, Dwarf_Die *to)
{
	Dwarf_Attribute attribute;
	Dwarf_Word start = 0;
	Dwarf_Die type;
	int64_t bytes;

	if ((dwarf_tag(member) != DW_TAG_member &&
	     dwarf_tag(member) != DW_TAG_inheritance) ||
	    dwarf_hasattr(member, DW_AT_external) || !type_of(member, &type))
		return false;
	if (dwarf_attr(member, DW_AT_data_member_location, &attribute) &&
	    dwarf_formudata(&attribute, &start))
		return false;
	bytes = size_of(&type);
	if (offset < start || (bytes != ANY_SIZE && offset - start >= (uint64_t)bytes))
		return false;
	return pointer_in(search, &type, offset - start, depth + 1, to);
}

static bool pointer_in_record(const struct type_search *search, Dwarf_Die *type,
			      uint64_t offset, unsigned depth, Dwarf_Die *to)
{
	Dwarf_Die member;

	if (!define(search, type) || dwarf_child(type, &member))
		return false;
	do
		if (pointer_in_member(search, &member, offset, depth, to))
			return true;
	while (!dwarf_siblingof(&member, &member));
	return false;
}

/* What the pointer at OFFSET in TYPE points to. */
static bool pointer_in(const struct type_search *search, Dwarf_Die *type, uint64_t offset,
		       unsigned depth, Dwarf_Die *to)
{
	Dwarf_Die inner;
	int64_t bytes;

	if (depth > DEPTH || !bare(type))
		return false;
	if (is_record(type))
		return pointer_in_record(search, type, offset, depth, to);
	switch (dwarf_tag(type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		return offset == 0 && type_of(type, to);
	case DW_TAG_array_type:
		if (!type_of(type, &inner))
			return false;
		bytes = size_of(&inner);
		return bytes > 0 && pointer_in(search, &inner, offset % (uint64_t)bytes,
					       depth + 1, to);
	default:
		return false;
	}
}

/* A chunk may hold many of its TYPE, side by side; one that ends in an array without
 * bounds takes all of it. */
static bool pointer_in_chunk(const struct type_search *search, Dwarf_Die *type,
			     uint64_t offset, Dwarf_Die *to)
{
	int64_t bytes;

	if (!bare(type) || (is_record(type) && !define(search, type)))
		return false;
	bytes = size_of(type);
	if (pointer_in(search, type, offset, 0, to))
		return true;
	return bytes > 0 && offset >= (uint64_t)bytes &&
	       pointer_in(search, type, offset % (uint64_t)bytes, 0, to);
}

/* ---- one path ---- */

/* From the variable downwards, as long as the types are known and fit in the chunks. */
static void follow(const struct type_search *search, struct type_path *path,
		   Dwarf_Die *type)
{
	Dwarf_Die at = *type, to;

	name_type(type, path->type);
	for (unsigned i = 0; i < path->steps; i++) {
		struct type_step *step = &path->step[i];
		bool known = i ? pointer_in_chunk(search, &at, step->offset, &to)
			       : pointer_in(search, &at, step->offset, 0, &to);
		int64_t bytes;

		if (!known)
			return;
		at = to;
		/* A record that is declared nowhere but by name has one all the same. */
		if (bare(&to) && is_record(&to))
			(void)define(search, &to);
		bytes = size_of(&to);
		if (bytes != ANY_SIZE && (uint64_t)bytes > step->bytes)
			return;
		name_type(&at, step->type);
	}
}

/* ---- variables ---- */

/* Where the variable DIE is: an address in the file, or an offset in its threads' block.
 */
static bool place_of(Dwarf_Die *die, uint64_t *place, bool *is_thread)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *op;
	size_t count;

	if (!dwarf_attr(die, DW_AT_location, &attribute) ||
	    dwarf_getlocation(&attribute, &op, &count) || !count)
		return false;
	*place = op[0].number;
	if (count == 1 && op[0].atom == DW_OP_addr) {
		*is_thread = false;
		return true;
	}
	*is_thread = true;
	return count == 2 && (op[1].atom == DW_OP_form_tls_address ||
			      op[1].atom == DW_OP_GNU_push_tls_address);
}

static void take_variable(struct type_search *search, Dwarf_Die *die)
{
	uint64_t place;
	bool is_thread;
	Dwarf_Die type;

	if (!place_of(die, &place, &is_thread) || !type_of(die, &type))
		return;
	for (unsigned i = 0; i < search->count; i++) {
		struct type_path *path = &search->path[i];

		if (path->variable != place || path->is_thread != is_thread ||
		    path->code || path->type[0])
			continue;
		search->found++;
		follow(search, path, &type);
	}
}

/* The variables below DIE; those inside functions, too, if IN_CODE. */
static void take_all(struct type_search *search, Dwarf_Die *die, bool in_code,
		     unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH || dwarf_child(die, &child))
		return;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_variable:
			take_variable(search, &child);
			break;
		case DW_TAG_namespace:
			take_all(search, &child, in_code, depth + 1);
			break;
		case DW_TAG_subprogram:
		case DW_TAG_lexical_block:
			if (in_code)
				take_all(search, &child, in_code, depth + 1);
			break;
		default:
			break;
		}
	} while (search->found < search->count && !dwarf_siblingof(&child, &child));
}

/* ---- local variables ---- */

/* Where the local variable DIE is, from the canonical frame address on, while the
 * function is at CODE. False: in a register, or in a form that is not known here. */
static bool local_place(Dwarf_Die *die, uint64_t code, int64_t *place)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *op;
	size_t count;

	if (!dwarf_attr(die, DW_AT_location, &attribute) ||
	    dwarf_getlocation_addr(&attribute, code, &op, &count, 1) != 1 || count != 1 ||
	    op[0].atom != DW_OP_fbreg)
		return false;
	*place = (int64_t)op[0].number;
	return true;
}

static void take_local(const struct type_search *search, struct type_path *path,
		       Dwarf_Die *die)
{
	int64_t place, bytes;
	Dwarf_Die type;
	uint64_t offset;

	if (path->type[0] || !local_place(die, path->code, &place) ||
	    !type_of(die, &type))
		return;
	bytes = size_of(&type);
	offset = path->variable - (uint64_t)place;
	if (bytes == ANY_SIZE || offset >= (uint64_t)bytes)
		return;
	path->step[0].offset = offset;
	follow(search, path, &type);
}

/* The variables below DIE that there are at PATH's instruction. */
static void take_locals(const struct type_search *search, struct type_path *path,
			Dwarf_Die *die, unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH || dwarf_child(die, &child))
		return;
	do {
		switch (dwarf_tag(&child)) {
		case DW_TAG_variable:
		case DW_TAG_formal_parameter:
			take_local(search, path, &child);
			break;
		case DW_TAG_lexical_block:
		case DW_TAG_inlined_subroutine:
			if (dwarf_haspc(&child, path->code) > 0)
				take_locals(search, path, &child, depth + 1);
			break;
		default:
			break;
		}
	} while (!dwarf_siblingof(&child, &child));
}

/* Whether FUNCTION's places are counted from the canonical frame address. */
static bool counts_from_cfa(Dwarf_Die *function)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *op;
	size_t count;

	return dwarf_attr(function, DW_AT_frame_base, &attribute) &&
	       !dwarf_getlocation(&attribute, &op, &count) && count == 1 &&
	       op[0].atom == DW_OP_call_frame_cfa;
}

/* In the function below DIE that has PATH's instruction. */
static void take_function(const struct type_search *search, struct type_path *path,
			  Dwarf_Die *die, unsigned depth)
{
	Dwarf_Die child;

	if (depth > DEPTH || dwarf_child(die, &child))
		return;
	do {
		int tag = dwarf_tag(&child);

		if (tag == DW_TAG_namespace)
			take_function(search, path, &child, depth + 1);
		else if (tag == DW_TAG_subprogram &&
			 dwarf_haspc(&child, path->code) > 0 && counts_from_cfa(&child))
			take_locals(search, path, &child, 0);
	} while (!dwarf_siblingof(&child, &child));
}

static void take_frames(struct type_search *search)
{
	for (unsigned i = 0; i < search->count; i++) {
		struct type_path *path = &search->path[i];
		Dwarf_Off at = 0, next;
		size_t header;

		if (!path->code)
			continue;
		search->found++;
		while (!dwarf_nextcu(search->dwarf, at, &next, &header, NULL, NULL,
				     NULL)) {
			Dwarf_Die unit;

			if (dwarf_offdie(search->dwarf, at + header, &unit) &&
			    dwarf_haspc(&unit, path->code) > 0)
				take_function(search, path, &unit, 0);
			at = next;
		}
	}
}

/* ---- all ---- */

static void take_units(struct type_search *search, bool in_code)
{
	Dwarf_Off at = 0, next;
	size_t header;

	while (search->found < search->count &&
	       !dwarf_nextcu(search->dwarf, at, &next, &header, NULL, NULL, NULL)) {
		Dwarf_Die unit;

		if (dwarf_offdie(search->dwarf, at + header, &unit))
			take_all(search, &unit, in_code, 0);
		at = next;
	}
}

/* Nothing is freed or closed: the child ends. */
static void read_in_child(void *context, void *result)
{
	struct type_search *search = context;
	int fd = maps_open(search->process, search->mapping);
	Elf *elf, *debug;

	memcpy(result, search->path, search->count * sizeof(*search->path));
	search->path = result;
	subprocess_bound(CPU_S, MEMORY_BYTES);
	elf_version(EV_CURRENT);
	elf = fd < 0 ? NULL : elf_begin(fd, ELF_C_READ_MMAP, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF)
		return;
	search->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	debug = search->dwarf ? NULL : debugfile_of(elf);
	if (debug)
		search->dwarf = dwarf_begin_elf(debug, DWARF_C_READ, NULL);
	if (!search->dwarf)
		return;
	take_frames(search);
	take_units(search, false);
	take_units(search, true);
}

int types_find(struct type_path *path, unsigned count, const struct process *process,
	       const struct mapping *mapping, atomic_ulong *beats)
{
	struct type_search search = {process, mapping, path, count, 0, NULL};
	size_t bytes = count * sizeof(*path);
	struct type_path *found = malloc(bytes);
	int error = found ? subprocess_run(read_in_child, &search, found, bytes, beats)
			  : -ENOMEM;

	/* What a child that came to no end has written may be half of something. */
	if (!error)
		memcpy(path, found, bytes);
	free(found);
	return error;
}
