/* events.c: what the formats of events have in common. */
#include "view/events.h"

static bool is_longer(const char *name, size_t characters)
{
	while (*name && characters--) {
		size_t length = text_utf8_length(name);

		name += length ? length : 1;
	}
	return *name;
}

void events_name(struct text *text, const char *name)
{
	static const char dots[] = "...";

	if (!is_longer(name, EVENT_NAME_CHARACTERS)) {
		text_printable(text, name, EVENT_NAME_CHARACTERS);
		return;
	}
	text_printable(text, name, EVENT_NAME_CHARACTERS - (sizeof(dots) - 1));
	text_string(text, dots);
}
