/* event.h: the second type that flows to the views: one thing that happened to a target's
 * heap: it grew, an allocation failed, a threshold moved, the kernel killed something.
 * What could not be had is absent: its HAS bit is clear, and it must not be read. */
#ifndef FRAGSCOPE_EVENT_H
#define FRAGSCOPE_EVENT_H

#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* The names that go with these (event_kind_name) are released: only added to. */
enum event_kind {
	EVENT_BRK,	 /* the main arena's program break moved up */
	EVENT_FALLBACK,	 /* brk was refused; the main arena grew by a mapping instead */
	EVENT_NEW_HEAP,	 /* a non-main arena got a heap */
	EVENT_MPROTECT,	 /* a non-main arena's heap grew */
	EVENT_MMAP,	 /* a chunk with a mapping of its own */
	EVENT_MREMAP,	 /* such a chunk grew in realloc */
	EVENT_FAILURE,	 /* an allocation got nothing */
	EVENT_THRESHOLD, /* a free raised the mmap and trim thresholds */
	EVENT_KILL,	 /* the kernel killed a process for memory */
	EVENT_KINDS
};

/* What an EVENT_* can tell besides kind, time and thread; bits of event.has. */
enum event_part {
	EVENT_HAS_BYTES = 1 << 0,   /* grown, or refused */
	EVENT_HAS_REQUEST = 1 << 1, /* what malloc was asked for */
	EVENT_HAS_ARENA = 1 << 2,   /* the arena, its top and its system bytes */
	EVENT_HAS_LARGEST = 1 << 3, /* the largest chunk in the arena's bins */
	EVENT_HAS_THRESHOLDS = 1 << 4,
	EVENT_HAS_CAUSE = 1 << 5,
	EVENT_HAS_VICTIM = 1 << 6,
	EVENT_HAS_READING = 1 << 7, /* the last full reading before the event */
	EVENT_HAS_STACK = 1 << 8,
};

/* A request as malloc rounds it: the chunk's size, header included. It lies in
 * [BYTES - TOLERANCE_BYTES, BYTES]; the tolerance is 0 when it is exact (read by libc's
 * debug information), else it is derived from what the kernel was asked for. */
struct event_request {
	uint64_t bytes;
	uint64_t tolerance_bytes;
	bool exact;
};

/* An arena at the instant of the event. */
struct event_arena {
	uint64_t addr;
	uint64_t system_bytes; /* before it grew */
	uint64_t top_bytes;
	uint64_t largest_binned_bytes; /* EVENT_HAS_LARGEST; 0: its bins are empty */
};

struct event_thresholds {
	uint64_t old_mmap_bytes, new_mmap_bytes;
	uint64_t old_trim_bytes, new_trim_bytes;
};

/* Why an allocation failed, or a process was killed. */
enum cause_kind {
	CAUSE_UNKNOWN,
	CAUSE_RLIMIT_AS,
	CAUSE_RLIMIT_DATA,
	CAUSE_OVERCOMMIT,
	CAUSE_MAP_COUNT,
	CAUSE_CGROUP,
	CAUSE_HOST,   /* a kill: the host had no memory left */
	CAUSE_ABSURD, /* no address space is that large */
	CAUSE_KINDS
};

/* The limit that was hit: USED + ASKED is above LIMIT. In bytes; in mappings for
 * CAUSE_MAP_COUNT. HAS_FIGURES is false when only the kind is known. */
struct event_cause {
	enum cause_kind kind;
	bool has_figures;
	uint64_t limit, used, asked;
};

struct event_victim {
	int pid;
	char comm[16];
	int oom_score_adj;
	uint64_t total_vm_bytes;
	uint64_t anon_bytes, file_bytes, shmem_bytes; /* resident, as the kernel counts */
};

/* What the last full reading of the target said. */
struct event_reading {
	int64_t time_ns; /* CLOCK_REALTIME */
	uint64_t rss_bytes;
	uint64_t free_bytes, free_chunks, largest_free_bytes;
};

enum { EVENT_FRAMES = 128 };

/* One frame; the strings belong to the unwinder and live as long as it does. */
struct frame {
	uint64_t pc;
	const char *function; /* demangled; null when no symbol covers PC */
	uint64_t offset;      /* of PC in FUNCTION, or in MODULE's file addresses */
	const char *module;   /* the file's name without its directory; null: no file */
};

struct event {
	unsigned has;
	enum event_kind kind;
	int64_t time_ns; /* CLOCK_REALTIME */
	int pid;
	int tid;
	char comm[16]; /* the thread's */
	uint64_t bytes;
	struct event_request request;
	struct event_arena arena;
	struct event_thresholds thresholds;
	struct event_cause cause;
	struct event_victim victim;
	struct event_reading reading;
	bool not_malloc;  /* the stack shows that malloc did not ask */
	bool stack_whole; /* it ends where the thread began */
	unsigned frame_count;
	struct frame frame[EVENT_FRAMES]; /* innermost first */
};

const char *event_kind_name(enum event_kind kind);
const char *cause_kind_name(enum cause_kind kind);

#endif
