#include "view/callers.h"

#include "unwind/unwind.h"

#include <string.h>

enum { SHOWN = 6, NAME = 200 };

/* What malloc asks the kernel by; and C++'s way to malloc. */
static bool is_door(const char *function)
{
	static const char *const doors[] = {
		"__glibc_morecore",
		"__default_morecore",
		"sbrk",
		"__sbrk",
		"brk",
		"__brk",
		"mmap",
		"mmap64",
		"__mmap",
		"__mmap64",
		"mprotect",
		"__mprotect",
		"mremap",
		"__mremap",
		"munmap",
		"__munmap",
	};

	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
		if (!strcmp(function, doors[i]))
			return true;
	/* glibc 2.36 and later have parts of sysmalloc apart, under names with a suffix.
	 */
	return !strncmp(function, "operator new", strlen("operator new")) ||
	       !strncmp(function, "sysmalloc_mmap", strlen("sysmalloc_mmap"));
}

/* One function of a stack, as it stands there. */
struct caller_part {
	const char *name;
	size_t length;
};

static bool is_own(const struct caller_part *part)
{
	char name[NAME];

	if (part->length >= sizeof(name))
		return true;
	memcpy(name, part->name, part->length);
	name[part->length] = '\0';
	return !unwind_is_malloc(name) && !is_door(name);
}

static unsigned count_of(const char *stack)
{
	unsigned count = 1;

	for (; *stack; stack++)
		count += *stack == ';';
	return count;
}

/* Function AT of STACK, 0 being the outermost. */
static struct caller_part part_of(const char *stack, unsigned at)
{
	while (at--)
		stack += strcspn(stack, ";") + 1;
	return (struct caller_part){stack, strcspn(stack, ";")};
}

/* How many functions of STACK are left without malloc's inner end; 1 at least. */
static unsigned own_count(const char *stack)
{
	unsigned count = count_of(stack);

	while (count > 1) {
		struct caller_part part = part_of(stack, count - 1);

		if (is_own(&part))
			break;
		count--;
	}
	return count;
}

unsigned callers_shared(const struct fold_row *row, unsigned count)
{
	unsigned shared = count > 1 ? own_count(row[0].stack) - 1 : 0;

	for (unsigned i = 1; i < count; i++) {
		unsigned same = 0, most = own_count(row[i].stack) - 1;

		for (; same < shared && same < most; same++) {
			struct caller_part one = part_of(row[0].stack, same);
			struct caller_part other = part_of(row[i].stack, same);

			if (one.length != other.length ||
			    memcmp(one.name, other.name, one.length) != 0)
				break;
		}
		shared = same;
	}
	return shared;
}

void callers_text(struct text *text, const char *stack, unsigned shared)
{
	unsigned from = own_count(stack), shown = 0;

	for (; from > shared && shown < SHOWN; shown++) {
		struct caller_part part = part_of(stack, --from);

		if (shown)
			text_string(text, " <- ");
		text_bytes(text, part.name, part.length);
	}
	if (from > shared)
		text_string(text, " <- ...");
}

void callers_last_shared(struct text *text, const char *stack, unsigned shared)
{
	struct caller_part part = part_of(stack, shared - 1);

	text_bytes(text, part.name, part.length);
}
