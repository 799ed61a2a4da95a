/* settings.h: what the environment variable FRAGSCOPE asks of the sampler:
 * "interval=500ms,detail=10s,max_cost=1%,children=no,stacks=524288". Of a word that
 * stands twice the first counts, for `run` puts its own before what it found. "pid=4711"
 * is written by the sampler itself where children are left alone: programs that inherit
 * it in another process have no sampler. */
#ifndef FRAGSCOPE_PRELOAD_SETTINGS_H
#define FRAGSCOPE_PRELOAD_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_VARIABLE "FRAGSCOPE"

struct settings {
	int64_t interval_ns;   /* 1 ms at least */
	int64_t detail_ns;     /* arenas are asked for no more often than this */
	uint64_t max_cost_ppm; /* share of time, of 1000000, that asking may take */
	bool children;	       /* a child has a sampler of its own */
	uint64_t stacks_bytes; /* between two sampled allocations; 0: none are */
	int64_t pid;	       /* the process that is meant; 0: any */
};

/* Fills SETTINGS from TEXT, which may be null. A word that is not understood is as if it
 * were not there: the host's streams are not ours to complain on. */
void settings_read(struct settings *settings, const char *text);

/* Writes the variable, name and all, with TEXT (which may be null) as it was but meant
 * for PID alone. False when it does not fit into BYTES. */
bool settings_mark(char *variable, size_t bytes, const char *text, int64_t pid);

#endif
