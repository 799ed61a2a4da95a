/* events.c: what the formats of events have in common. */
#include "view/events.h"

#include <string.h>

enum { FRAMES_BEFORE_MAIN = 3 }; /* at most: _start and two of libc */

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

unsigned events_frames(const struct event *event)
{
	unsigned count = event->frame_count;

	for (unsigned i = 0; i <= FRAMES_BEFORE_MAIN && i < count; i++) {
		const char *function = event->frame[count - 1 - i].function;

		if (function && !strcmp(function, "main"))
			return count - i;
	}
	return count;
}
