/* events.h: writes events, in one of two formats, into a caller's text. Nothing is
 * allocated. */
#ifndef FRAGSCOPE_EVENTS_H
#define FRAGSCOPE_EVENTS_H

#include "base/text.h"
#include "sample/event.h"

enum {
	/* Of a function's or file's name, what is printed: templates have no end. */
	EVENT_NAME_CHARACTERS = 200,
	EVENT_NAME_BYTES = 4 * EVENT_NAME_CHARACTERS,
	/* What holds any event: each frame with two names of that length, and less than
	 * 200 bytes besides; the rest takes less than 8 KB. */
	EVENT_TEXT_BYTES = EVENT_FRAMES * (2 * EVENT_NAME_BYTES + 200) + 8192,
};

/* For people: a line that says what happened, and indented lines with what is known
 * besides; scaled units, local time. The stack goes from main, or where the thread began,
 * down to the kernel's door; frames have the numbers that debuggers give them. */
void events_text(struct text *text, const struct event *event);

/* One object on a line of its own; what EVENT does not have is left out. Never scaled,
 * time in UTC, addresses as strings, all of the stack, its outermost frame first. */
void events_json(struct text *text, const struct event *event);

/* NAME for people: printable, in EVENT_NAME_CHARACTERS at most; a longer one ends in
 * "...". */
void events_name(struct text *text, const char *name);

/* How many of EVENT's frames, from the innermost on, people want to see: what comes
 * before main is the same in every program. */
unsigned events_frames(const struct event *event);

#endif
