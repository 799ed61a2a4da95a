#include "engine/event_stack.h"

#include "base/json_scan.h"

#include <stdlib.h>
#include <string.h>

/* A stack that is cut must not pass for one that begins where it was cut. */
static const char cut[] = "[cut];";

enum { CUT = sizeof(cut) - 1 };

static void begin(struct text *text)
{
	text_clear(text);
	text_string(text, cut);
}

/* A frame as trace's tables have it; what parts frames must not be in one. */
static void add_frame(struct event_stack *stack)
{
	struct text *text = &stack->text;
	size_t from;

	/* What comes before main is the same in every program. */
	if (!strcmp(stack->function, "main"))
		begin(text);
	if (text->length > CUT)
		text_char(text, ';');
	from = text->length;
	if (*stack->function) {
		text_string(text, stack->function);
	} else if (*stack->module) {
		text_string(text, stack->module);
		text_char(text, '+');
		text_hex(text, strtoull(stack->number, NULL, 10));
	} else {
		text_string(text, "[no file]");
	}
	for (size_t i = from; i < text->length; i++)
		if (text->buf[i] == ';')
			text->buf[i] = ':';
}

static void read_frame(struct event_stack *stack, struct json_scan *scan)
{
	bool inside = false;

	*stack->function = *stack->module = *stack->number = '\0';
	while (json_scan_next(scan, '{', &inside)) {
		json_scan_key(scan, stack->key, EVENT_STACK_NAME);
		if (!strcmp(stack->key, "function"))
			json_scan_string(scan, stack->function, EVENT_STACK_NAME);
		else if (!strcmp(stack->key, "module"))
			json_scan_string(scan, stack->module, EVENT_STACK_NAME);
		else if (!strcmp(stack->key, "offset"))
			json_scan_number(scan, stack->number, sizeof(stack->number));
		else
			json_scan_skip(scan);
	}
	if (!scan->failed)
		add_frame(stack);
}

const char *event_stack_read(struct event_stack *stack, const char *json)
{
	bool inside = false, in_stack = false, is_whole = true;
	struct json_scan scan;

	text_init(&stack->text, stack->line, sizeof(stack->line));
	begin(&stack->text);
	json_scan_init(&scan, json);
	while (json_scan_next(&scan, '{', &inside)) {
		json_scan_key(&scan, stack->key, EVENT_STACK_NAME);
		if (!strcmp(stack->key, "stack")) {
			while (json_scan_next(&scan, '[', &in_stack))
				read_frame(stack, &scan);
			continue;
		}
		if (!strcmp(stack->key, "stack_whole"))
			is_whole = json_scan_peek(&scan) == 't';
		json_scan_skip(&scan);
	}
	if (!json_scan_ends(&scan))
		return NULL;
	if (stack->text.length == CUT)
		return "[no stack]";
	return is_whole ? stack->line + CUT : stack->line;
}

void event_text_read(const char *json, const char *name, char *out, size_t size)
{
	char key[64];
	bool inside = false;
	struct json_scan scan;

	*out = '\0';
	json_scan_init(&scan, json);
	while (json_scan_next(&scan, '{', &inside)) {
		json_scan_key(&scan, key, sizeof(key));
		if (!strcmp(key, name) && json_scan_peek(&scan) == '"')
			json_scan_string(&scan, out, size);
		else
			json_scan_skip(&scan);
	}
	if (scan.failed)
		*out = '\0';
}
