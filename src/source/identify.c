/* identify.c: what a chunk may be, by its first bytes: an object of a C++ class, by the
 * vtable that it begins with, or of CPython, by its type; something that begins with a
 * pointer to named data, as tables of functions are; or text. */
#include "base/machine.h"
#include "base/text.h"
#include "owners/python.h"
#include "source/driver.h"
#include "unwind/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	HEADER = 16,
	TEXT_LEAST = 6,
	TEXT_MOST = 24,
	CLASS_NAME = 256, /* of a name as RTTI has it */
};

static bool is_pointer(uint64_t value)
{
	return value >= 4096 && value >> ADDRESS_BITS == 0 && value % sizeof(value) == 0;
}

static int peek(struct source *source, uint64_t addr, void *to, uint32_t bytes)
{
	return source->driver->peek(source, addr, to, bytes);
}

/* Constants of a file are seldom looked at by the program itself, so that their pages
 * need not be there; then the file has them. */
static int constants(struct source *source, uint64_t addr, void *to, uint32_t bytes)
{
	int error = peek(source, addr, to, bytes);

	return error ? object_bytes(&source->process, addr, to, bytes) : 0;
}

/* The last bytes of a page suffice where the next is not mapped. */
static bool read_name(struct source *source, uint64_t addr, char name[CLASS_NAME])
{
	uint32_t bytes = CLASS_NAME - 1, left = 4096 - (addr & 4095);

	memset(name, 0, CLASS_NAME);
	return constants(source, addr, name, bytes) == 0 ||
	       constants(source, addr, name, left < bytes ? left : bytes) == 0;
}

/* In front of what an object points to lie the distance to the whole object, 0 where this
 * is it, and the type's description, whose second word is its name (Itanium C++ ABI,
 * 2.5.2 and 2.9.5). */
static bool identify_class(struct source *source, uint64_t vtable,
			   char identity[CHUNK_IDENTITY])
{
	uint64_t front[2], type[2];
	char mangled[CLASS_NAME], name[CHUNK_IDENTITY];

	if (constants(source, vtable - sizeof(front), front, sizeof(front)) || front[0] ||
	    !is_pointer(front[1]) || constants(source, front[1], type, sizeof(type)) ||
	    !is_pointer(type[0]) || !type[1] || type[1] >> ADDRESS_BITS ||
	    !read_name(source, type[1], mangled) ||
	    object_class(mangled, name, sizeof(name)))
		return false;
	snprintf(identity, CHUNK_IDENTITY, "C++ object of class %.100s", name);
	return true;
}

static bool identify_pointer(struct source *source, uint64_t to,
			     char identity[CHUNK_IDENTITY])
{
	static const char vtable[] = "vtable for ";
	char name[CHUNK_IDENTITY];

	if (object_name(&source->process, to, name, sizeof(name)))
		return false;
	if (strncmp(name, vtable, strlen(vtable)) == 0)
		snprintf(identity, CHUNK_IDENTITY, "C++ object of class %.100s",
			 name + strlen(vtable));
	else
		snprintf(identity, CHUNK_IDENTITY, "begins with a pointer to %.100s",
			 name);
	return true;
}

static int read_constants(void *context, uint64_t addr, void *to, uint32_t bytes)
{
	return constants(context, addr, to, bytes);
}

/* An object of CPython that is too large for its own arenas. */
static bool identify_python(struct source *source, uint64_t data,
			    char identity[CHUNK_IDENTITY])
{
	uint64_t type = python_type_at(read_constants, source, data);
	char name[PYTHON_NAME];

	if (!type || python_type_name(read_constants, source, type, name))
		return false;
	snprintf(identity, CHUNK_IDENTITY, "Python object of type %s", name);
	return true;
}

static void identify_text(const char *bytes, char identity[CHUNK_IDENTITY])
{
	int length = 0;

	while (length < TEXT_MOST && bytes[length] >= ' ' && bytes[length] <= '~')
		length++;
	if (length >= TEXT_LEAST)
		snprintf(identity, CHUNK_IDENTITY, "text \"%.*s\"", length, bytes);
}

/* Six bytes of an address may all be letters. */
static bool leads_somewhere(struct source *source, uint64_t word)
{
	char byte;

	return word >> ADDRESS_BITS == 0 && !constants(source, word, &byte, 1);
}

static void identify_all(struct source *source, uint64_t data, const char *bytes,
			 char identity[CHUNK_IDENTITY])
{
	uint64_t word;

	if (identify_python(source, data, identity))
		return;
	memcpy(&word, bytes, sizeof(word));
	if (is_pointer(word) && (identify_class(source, word, identity) ||
				 identify_pointer(source, word, identity)))
		return;
	if (!leads_somewhere(source, word))
		identify_text(bytes, identity);
}

int identify_chunk(struct source *source, uint64_t chunk, char identity[CHUNK_IDENTITY])
{
	char bytes[TEXT_MOST], raw[CHUNK_IDENTITY] = "";
	struct text text;
	int error;

	text_init(&text, identity, CHUNK_IDENTITY);
	if (!source->driver->peek || !source->options.survey)
		return -ENOTSUP;
	/* The smallest chunk has 24 bytes for its owner. */
	error = peek(source, chunk + HEADER, bytes, sizeof(bytes));
	if (error)
		return error == -ENODATA ? 0 : error;
	identify_all(source, chunk + HEADER, bytes, raw);
	/* Names come from the files of other people's programs. */
	text_printable(&text, raw, CHUNK_IDENTITY);
	return 0;
}
