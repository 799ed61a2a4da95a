#include "sample/event.h"

static const char *const kind_names[EVENT_KINDS] = {
	[EVENT_BRK] = "brk",	       [EVENT_FALLBACK] = "fallback",
	[EVENT_NEW_HEAP] = "new_heap", [EVENT_MPROTECT] = "mprotect",
	[EVENT_MMAP] = "mmap",	       [EVENT_MREMAP] = "mremap",
	[EVENT_FAILURE] = "failure",   [EVENT_THRESHOLD] = "threshold",
	[EVENT_KILL] = "kill",
};

static const char *const cause_names[CAUSE_KINDS] = {
	[CAUSE_UNKNOWN] = "unknown",
	[CAUSE_RLIMIT_AS] = "rlimit_as",
	[CAUSE_RLIMIT_DATA] = "rlimit_data",
	[CAUSE_OVERCOMMIT] = "overcommit",
	[CAUSE_MAP_COUNT] = "max_map_count",
	[CAUSE_CGROUP] = "cgroup",
	[CAUSE_HOST] = "host",
	[CAUSE_ABSURD] = "absurd",
};

const char *event_kind_name(enum event_kind kind)
{
	return kind_names[kind];
}

const char *cause_kind_name(enum cause_kind kind)
{
	return cause_names[kind];
}
