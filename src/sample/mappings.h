/* mappings.h: whose a process's resident memory is, by kind of mapping and by name; and
 * what the host does to make huge pages of it. */
#ifndef FRAGSCOPE_SAMPLE_MAPPINGS_H
#define FRAGSCOPE_SAMPLE_MAPPINGS_H

#include <stdbool.h>
#include <stdint.h>

enum { SMAPS_NAMES = 256, SMAPS_NAME = 128 };

enum smaps_kind {
	SMAPS_ANON,  /* private, anonymous, without a name or [heap]: where malloc's is */
	SMAPS_STACK, /* the first thread's */
	SMAPS_SHARED, /* shared memory: memfd, /dev/shm, System V, shared anonymous */
	SMAPS_FILE,   /* files and what was copied of them; and what else has a name */
	SMAPS_KINDS
};

/* All mappings of one name; those without one, and malloc's, are left out. */
struct smaps_name {
	enum smaps_kind kind;
	bool has_code; /* some of them are executable */
	uint64_t rss_bytes;
	char name[SMAPS_NAME]; /* a longer one keeps its end, behind "..." */
};

/* Names beyond SMAPS_NAMES count in their kind only. */
struct smaps {
	uint64_t rss_bytes[SMAPS_KINDS];
	uint64_t pss_bytes[SMAPS_KINDS];
	/* What is resident of files, without what the program wrote into private copies
	 * and without files in memory (tmpfs) and drivers' pages: the kernel takes it
	 * back when memory is short. 0 also where the kernel does not say, as before
	 * Linux 4.5. */
	uint64_t page_cache_bytes;
	bool has_go; /* the arena of a Go runtime is among the anonymous ones */
	unsigned count;
	struct smaps_name name[SMAPS_NAMES]; /* the largest first */
	/* Of the private anonymous ones: what is in huge pages, and what is in mappings
	 * of which the kernel may make some. HAS_ELIGIBLE: it tells which these are. */
	uint64_t anon_huge_bytes, eligible_bytes;
	/* And what other processes have as well, since one was forked from the other. */
	uint64_t forked_bytes;
	bool has_eligible;
	uint64_t mapping_rss_bytes; /* while it is read: of the last mapping */
	int current; /* while it is read: the name that lines belong to; -1: none */
	enum smaps_kind kind;
};

/* khugepaged's settings. */
struct huge {
	bool is_always; /* not only for memory that asks for them */
	uint64_t page_bytes;
	uint64_t max_ptes_none; /* pages of a range that may be absent */
	uint64_t pages_to_scan; /* a turn */
	uint64_t sleep_ms;	/* between two turns */
};

#endif
