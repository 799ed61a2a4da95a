/* smaps.h: whose a process's resident memory is, by kind of mapping and by name, out of
 * /proc/PID/smaps. That file is the kernel's walk of all page tables: for once, not for
 * every reading. */
#ifndef FRAGSCOPE_SMAPS_H
#define FRAGSCOPE_SMAPS_H

#include "target/maps.h"

#include <stdbool.h>
#include <stddef.h>
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
	bool has_go; /* the arena of a Go runtime is among the anonymous ones */
	unsigned count;
	struct smaps_name name[SMAPS_NAMES]; /* the largest first */
	/* Of the private anonymous ones: what is in huge pages, and what is in mappings
	 * of which the kernel may make some. HAS_ELIGIBLE: it tells which these are. */
	uint64_t anon_huge_bytes, eligible_bytes;
	bool has_eligible;
	uint64_t mapping_rss_bytes; /* while it is read: of the last mapping */
	int current; /* while it is read: the name that lines belong to; -1: none */
	enum smaps_kind kind;
};

/* Reads PID's. Allocates nothing. 0 or -errno. */
int smaps_read(int pid, struct smaps *smaps);

/* Of the same from text: begin, one call a LINE (changed, without its newline), end. */
void smaps_begin(struct smaps *smaps);
void smaps_line(struct smaps *smaps, char *line);
void smaps_end(struct smaps *smaps);

#endif
