/* events.c: what the formats of events have in common. */
#include "view/events.h"

#include <string.h>

enum { FRAMES_BEFORE_MAIN = 3 }; /* at most: _start and two of libc */

void events_name(struct text *text, const char *name)
{
	static const char dots[] = "...";

	if (text_columns(name) <= EVENT_NAME_CHARACTERS) {
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
