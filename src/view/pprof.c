#include "view/pprof.h"

#include "base/output.h"
#include "base/units.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of fields in profile.proto. */
enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRING = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_DURATION_NANOS = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_DEFAULT_TYPE = 14,
};
enum { TYPE_TYPE = 1, TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2 };
enum { LOCATION_ID = 1, LOCATION_LINE = 4, LINE_FUNCTION = 1 };
enum { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3 };
enum { VARINT = 0, DELIMITED = 2 };

enum { FRAMES = 256, MESSAGE_BYTES = FRAMES * 10 + 64, FIRST_BYTES = 1 << 16 };

/* Strings with a number; these come first, and 0 must be the empty one. */
static const char *const first_strings[] = {
	"", "inuse_objects", "count", "inuse_space", "bytes", "pinned_space", "space",
};
enum { EMPTY, INUSE_OBJECTS, COUNT, INUSE_SPACE, BYTES, PINNED_SPACE, SPACE, FIRST_NAME };

/* A function, which has one location, of the same number. */
struct function {
	uint64_t number; /* from 1 on; its name is string FIRST_NAME + NUMBER - 1 */
	char name[];
};

struct profile {
	uint8_t *out;
	size_t bytes, room;
	void *functions; /* tsearch's */
	uint64_t function_count;
	bool no_memory;
};

/* A message inside, which must be whole before its length is known. */
struct message {
	uint8_t bytes[MESSAGE_BYTES];
	size_t length;
};

/* ---- the encoding ---- */

static void put_bytes(struct profile *profile, const void *from, size_t bytes)
{
	if (!profile->out || profile->bytes + bytes > profile->room) {
		size_t room = 2 * (profile->room + bytes) + FIRST_BYTES;
		uint8_t *grown = realloc(profile->out, room);

		if (!grown) {
			profile->no_memory = true;
			return;
		}
		profile->out = grown;
		profile->room = room;
	}
	memcpy(profile->out + profile->bytes, from, bytes);
	profile->bytes += bytes;
}

/* Seven bits a byte, the low ones first. */
static size_t encode(uint8_t to[10], uint64_t value)
{
	size_t length = 0;

	for (; value >= 128; value >>= 7)
		to[length++] = (uint8_t)(value | 128);
	to[length++] = (uint8_t)value;
	return length;
}

static void put_varint(struct profile *profile, uint64_t value)
{
	uint8_t bytes[10] = {0};
	size_t length = encode(bytes, value);

	put_bytes(profile, bytes, length);
}

static void put_number(struct profile *profile, unsigned field, uint64_t value)
{
	put_varint(profile, field << 3 | VARINT);
	put_varint(profile, value);
}

static void put_delimited(struct profile *profile, unsigned field, const void *from,
			  size_t bytes)
{
	put_varint(profile, field << 3 | DELIMITED);
	put_varint(profile, bytes);
	put_bytes(profile, from, bytes);
}

/* A message has room for all that is put into it here. */
static void add_number(struct message *message, unsigned field, uint64_t value)
{
	message->length += encode(message->bytes + message->length, field << 3 | VARINT);
	message->length += encode(message->bytes + message->length, value);
}

static void put_message(struct profile *profile, unsigned field,
			const struct message *message)
{
	put_delimited(profile, field, message->bytes, message->length);
}

/* ---- functions ---- */

static int by_name(const void *left, const void *right)
{
	const struct function *a = left, *b = right;

	return strcmp(a->name, b->name);
}

static void put_function(struct profile *profile, const struct function *function)
{
	uint64_t name = FIRST_NAME + function->number - 1;
	struct message message = {.length = 0}, line = {.length = 0};

	put_delimited(profile, PROFILE_STRING, function->name, strlen(function->name));
	add_number(&message, FUNCTION_ID, function->number);
	add_number(&message, FUNCTION_NAME, name);
	add_number(&message, FUNCTION_SYSTEM_NAME, name);
	put_message(profile, PROFILE_FUNCTION, &message);
	add_number(&line, LINE_FUNCTION, function->number);
	message.length = 0;
	add_number(&message, LOCATION_ID, function->number);
	message.length +=
		encode(message.bytes + message.length, LOCATION_LINE << 3 | DELIMITED);
	message.length += encode(message.bytes + message.length, line.length);
	memcpy(message.bytes + message.length, line.bytes, line.length);
	message.length += line.length;
	put_message(profile, PROFILE_LOCATION, &message);
}

/* The number of the function called NAME, of LENGTH bytes; 0 without memory. */
static uint64_t find_function(struct profile *profile, const char *name, size_t length)
{
	struct function *function = calloc(1, sizeof(*function) + length + 1), **found;

	if (!function) {
		profile->no_memory = true;
		return 0;
	}
	memcpy(function->name, name, length);
	found = (struct function **)tsearch(function, &profile->functions, by_name);
	if (!found || *found != function) {
		free(function);
		profile->no_memory |= !found;
		return found ? (*found)->number : 0;
	}
	function->number = ++profile->function_count;
	put_function(profile, function);
	return function->number;
}

/* ---- the profile ---- */

static void put_type(struct profile *profile, unsigned field, uint64_t type,
		     uint64_t unit)
{
	struct message message = {.length = 0};

	add_number(&message, TYPE_TYPE, type);
	add_number(&message, TYPE_UNIT, unit);
	put_message(profile, field, &message);
}

/* A stack is "outermost;...;innermost", and the innermost frame comes first here. */
static void put_sample(struct profile *profile, const struct stack_uses *uses,
		       const struct stack_use *use)
{
	struct message message = {.length = 0};
	const char *end = use->stack + strlen(use->stack), *start;

	for (unsigned frames = 0; frames < FRAMES; frames++, end = start - 1) {
		for (start = end; start > use->stack && start[-1] != ';'; start--)
			;
		add_number(&message, SAMPLE_LOCATION,
			   find_function(profile, start, (size_t)(end - start)));
		if (start == use->stack)
			break;
	}
	add_number(&message, SAMPLE_VALUE, units_whole(use->blocks.sum));
	add_number(&message, SAMPLE_VALUE, units_whole(use->bytes.sum));
	if (!uses->no_blockers)
		add_number(&message, SAMPLE_VALUE,
			   units_whole(estimate_value(&use->pinned_bytes)));
	put_message(profile, PROFILE_SAMPLE, &message);
}

static void put_profile(struct profile *profile, const struct stack_uses *uses,
			int64_t time_ns)
{
	for (unsigned i = 0; i < FIRST_NAME; i++)
		put_delimited(profile, PROFILE_STRING, first_strings[i],
			      strlen(first_strings[i]));
	put_type(profile, PROFILE_SAMPLE_TYPE, INUSE_OBJECTS, COUNT);
	put_type(profile, PROFILE_SAMPLE_TYPE, INUSE_SPACE, BYTES);
	if (!uses->no_blockers)
		put_type(profile, PROFILE_SAMPLE_TYPE, PINNED_SPACE, BYTES);
	for (unsigned i = 0; i < uses->count; i++)
		put_sample(profile, uses, &uses->use[i]);
	put_number(profile, PROFILE_TIME_NANOS, (uint64_t)time_ns);
	put_number(profile, PROFILE_DURATION_NANOS, (uint64_t)uses->since_ns);
	put_type(profile, PROFILE_PERIOD_TYPE, SPACE, BYTES);
	put_number(profile, PROFILE_PERIOD, uses->mean_bytes);
	put_number(profile, PROFILE_DEFAULT_TYPE, INUSE_SPACE);
}

int pprof_write(const struct stack_uses *uses, int64_t time_ns, int fd)
{
	struct profile profile = {0};
	int error = -ENOMEM;

	put_profile(&profile, uses, time_ns);
	if (!profile.no_memory)
		error = output_write(fd, (const char *)profile.out, profile.bytes);
	tdestroy(profile.functions, free);
	free(profile.out);
	return error;
}
