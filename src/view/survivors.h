/* survivors.h: what `trace --survivors` found out, by stack: a table for people, JSON, or
 * folded stacks. */
#ifndef FRAGSCOPE_VIEW_SURVIVORS_H
#define FRAGSCOPE_VIEW_SURVIVORS_H

#include "analysis/survival.h"
#include "view/fold.h"

#include <stdbool.h>
#include <stdint.h>

enum survivors_format {
	SURVIVORS_TEXT,
	SURVIVORS_JSON,
	SURVIVORS_FOLDED, /* by what has the greatest age */
};

/* A run, and what it sampled: stack I of SURVIVAL is FOLD's. */
struct survivors_run {
	int pid;
	const char *comm;
	int64_t took_ns;
	uint64_t bursts, looks;
	uint64_t calls, sent,
		lost; /* of all bursts, as struct survivors_watch has them */
	uint64_t watched_ns;
	bool watches_free;
	double dilation; /* see survival_rate */
	bool no_header;
	const struct survival *survival;
	const struct fold *fold;
};

/* The greatest age that chunks can have; 0: no look came late enough. */
unsigned survivors_oldest(const struct survivors_run *run);

struct survivors_writer;

/* Takes all memory that is ever needed for STACKS. Null: there is none. */
struct survivors_writer *survivors_writer_new(unsigned stacks);
void survivors_writer_free(struct survivors_writer *writer);

/* Writes RUN to FD. 0 or -errno. */
int survivors_write(struct survivors_writer *writer, const struct survivors_run *run,
		    enum survivors_format format, int fd);

#endif
