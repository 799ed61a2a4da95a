/* event_stack.h: the stack of an event as a line, from the JSON that a recording has of
 * it. */
#ifndef FRAGSCOPE_EVENT_STACK_H
#define FRAGSCOPE_EVENT_STACK_H

#include "base/text.h"
#include "sample/event.h"
#include "view/events.h"

enum {
	EVENT_STACK_NAME = EVENT_NAME_BYTES + 1,
	EVENT_STACK_LINE = EVENT_FRAMES * (EVENT_STACK_NAME + 24) + 8,
};

/* Room to work in. LINE is built behind "[cut];", which is left out of a whole stack. */
struct event_stack {
	struct text text;
	char key[EVENT_STACK_NAME], function[EVENT_STACK_NAME];
	char module[EVENT_STACK_NAME], number[32];
	char line[EVENT_STACK_LINE];
};

/* "outermost;...;innermost" of the event that JSON is, "[no stack]", or null: JSON is
 * none. Valid until the next call. */
const char *event_stack_read(struct event_stack *stack, const char *json);

/* The text that the member NAME of JSON has, into OUT of SIZE bytes; "" when it has none.
 */
void event_text_read(const char *json, const char *name, char *out, size_t size);

#endif
