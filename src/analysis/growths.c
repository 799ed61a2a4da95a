#include "analysis/growths.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* What the tree holds. */
struct known_stack {
	const char *text;
	unsigned index;
};

static const char no_room[] = "[no room]";

static int by_text(const void *a, const void *b)
{
	const struct known_stack *one = a, *other = b;

	return strcmp(one->text, other->text);
}

unsigned growths_find(const struct growths *growths, const char *stack)
{
	struct known_stack wanted = {stack, 0}, *const * found;

	found = tfind(&wanted, &growths->tree, by_text);
	return found ? (*found)->index : (unsigned)GROWTHS_STACKS;
}

/* The last place is for what finds no other. */
static int add_stack(struct growths *growths, const char *stack, unsigned *index)
{
	struct known_stack *new;
	char *text;

	if (!growths->stack)
		growths->stack = calloc(GROWTHS_STACKS, sizeof(*growths->stack));
	new = malloc(sizeof(*new));
	text = strdup(stack);
	if (!growths->stack || !new || !text) {
		free(new);
		free(text);
		return -ENOMEM;
	}
	*new = (struct known_stack){text, growths->stack_count};
	if (!tsearch(new, &growths->tree, by_text)) {
		free(new);
		free(text);
		return -ENOMEM;
	}
	*index = growths->stack_count;
	growths->stack[growths->stack_count++] = text;
	return 0;
}

static int number(struct growths *growths, const char *stack, unsigned *index)
{
	*index = growths_find(growths, stack);
	if (*index < GROWTHS_STACKS)
		return 0;
	if (growths->stack_count < GROWTHS_STACKS - 1)
		return add_stack(growths, stack, index);
	*index = growths_find(growths, no_room);
	return *index < GROWTHS_STACKS ? 0 : add_stack(growths, no_room, index);
}

int growths_add(struct growths *growths, int64_t time_ns, const char *stack,
		bool is_failure, uint64_t bytes)
{
	struct growth growth = {time_ns, 0, is_failure, is_failure ? 1 : bytes};

	if (growths->count == growths->capacity) {
		size_t capacity = growths->capacity ? 2 * growths->capacity : 256;
		struct growth *more =
			reallocarray(growths->growth, capacity, sizeof(*more));

		if (!more)
			return -ENOMEM;
		growths->growth = more;
		growths->capacity = capacity;
	}
	if (number(growths, stack, &growth.stack))
		return -ENOMEM;
	growths->growth[growths->count++] = growth;
	return 0;
}

void growths_release(struct growths *growths)
{
	tdestroy(growths->tree, free);
	for (unsigned i = 0; i < growths->stack_count; i++)
		free(growths->stack[i]);
	free(growths->stack);
	free(growths->growth);
	*growths = (struct growths){0};
}
