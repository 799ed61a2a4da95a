/* guess.c: what a chunk may be, by its first bytes: an object of a C++ class, by the
 * vtable that it begins with; something that begins with a pointer to named data, as
 * tables of functions are; or text. */
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
	return value >= 4096 && value >> 47 == 0 && value % sizeof(value) == 0;
}

static int peek(struct source *source, uint64_t addr, void *to, uint32_t bytes)
{
	return source->driver->peek(source, addr, to, bytes);
}

/* Names lie among a file's constants: seldom looked at by the program itself, so that
 * their pages need not be there; then the file has them. The last bytes of a page suffice
 * where the next is not mapped. */
static bool read_name(struct source *source, uint64_t addr, char name[CLASS_NAME])
{
	uint32_t bytes = CLASS_NAME - 1;
	uint32_t left = 4096 - (addr & 4095);

	memset(name, 0, CLASS_NAME);
	if (peek(source, addr, name, bytes) == 0 ||
	    object_bytes(&source->process, addr, name, bytes) == 0)
		return true;
	bytes = left < bytes ? left : bytes;
	return peek(source, addr, name, bytes) == 0 ||
	       object_bytes(&source->process, addr, name, bytes) == 0;
}

/* In front of what an object points to lie the distance to the whole object, 0 where this
 * is it, and the type's description, whose second word is its name (Itanium C++ ABI,
 * 2.5.2 and 2.9.5). */
static bool guess_class(struct source *source, uint64_t vtable, char guess[PIN_GUESS])
{
	uint64_t front[2], type[2];
	char mangled[CLASS_NAME], name[PIN_GUESS];

	if (peek(source, vtable - sizeof(front), front, sizeof(front)) || front[0] ||
	    !is_pointer(front[1]) || peek(source, front[1], type, sizeof(type)) ||
	    !is_pointer(type[0]) || !type[1] || type[1] >> 47 ||
	    !read_name(source, type[1], mangled) ||
	    object_class(mangled, name, sizeof(name)))
		return false;
	snprintf(guess, PIN_GUESS, "C++ object of class %.100s", name);
	return true;
}

static bool guess_pointer(struct source *source, uint64_t to, char guess[PIN_GUESS])
{
	static const char vtable[] = "vtable for ";
	char name[PIN_GUESS];

	if (object_name(&source->process, to, name, sizeof(name)))
		return false;
	if (strncmp(name, vtable, strlen(vtable)) == 0)
		snprintf(guess, PIN_GUESS, "C++ object of class %.100s",
			 name + strlen(vtable));
	else
		snprintf(guess, PIN_GUESS, "begins with a pointer to %.100s", name);
	return true;
}

static void guess_text(const char *bytes, char guess[PIN_GUESS])
{
	int length = 0;

	while (length < TEXT_MOST && bytes[length] >= ' ' && bytes[length] <= '~')
		length++;
	if (length >= TEXT_LEAST)
		snprintf(guess, PIN_GUESS, "text \"%.*s\"", length, bytes);
}

int source_guess(struct source *source, uint64_t chunk, char guess[PIN_GUESS])
{
	char bytes[TEXT_MOST];
	uint64_t word;
	int error;

	guess[0] = '\0';
	if (!source->driver->peek || !source->options.survey)
		return -ENOTSUP;
	/* The smallest chunk has 24 bytes for its owner. */
	error = peek(source, chunk + HEADER, bytes, TEXT_MOST);
	if (error)
		return error == -ENODATA ? 0 : error;
	memcpy(&word, bytes, sizeof(word));
	if (is_pointer(word) &&
	    (guess_class(source, word, guess) || guess_pointer(source, word, guess)))
		return 0;
	guess_text(bytes, guess);
	return 0;
}
