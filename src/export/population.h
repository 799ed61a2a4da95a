/* population.h: the processes that are exported: who they are, what they belong to, what
 * /proc says of them and what the last reading of each heap said. Two threads use it, so
 * everything but its making is done between population_lock and population_unlock, and
 * nothing is done there that a process could hold up: only files of /proc are read that
 * take no lock of the process's. */
#ifndef FRAGSCOPE_POPULATION_H
#define FRAGSCOPE_POPULATION_H

#include "base/fault.h"
#include "engine/targets.h"
#include "sample/sample.h"
#include "target/grouping.h"
#include "target/process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { POPULATION_MAX = 4096 };

/* Which processes: those that any of the lists names, or with none, all; of these, those
 * with MIN_RSS_BYTES resident at least. Lists stay the caller's. */
struct selection_by {
	struct pid_list pids;
	struct name_list names, units, containers, pods;
	uint64_t min_rss_bytes;
};

/* What came of the last reading. */
enum member_state {
	MEMBER_UNREAD, /* there was none yet */
	MEMBER_COMPLETE,
	MEMBER_ESTIMATED,
	MEMBER_TORN,
	MEMBER_PARTIAL,
	MEMBER_REFUSED, /* no heap that can be read, or not permitted */
	MEMBER_HELD,	/* it keeps its reader waiting */
	MEMBER_STATES,
};

/* Its names are as labels show them. */
struct export_member {
	int pid;
	uint64_t start_ticks;
	uid_t uid;
	char comm[PROCESS_COMM];
	struct grouping group;
	uint64_t rss_bytes, swap_bytes;
	enum member_state state;
	bool has_figures;  /* FIG is of a reading */
	int64_t read_ns;   /* CLOCK_MONOTONIC: when that was */
	int64_t due_ns;	   /* the next one; 0: at once */
	unsigned refusals; /* in a row */
	uint32_t alerts;   /* a bit a rule: it is on */
	bool was_probed;   /* it was tried to put it under probes */
	bool is_shown;	   /* its group had a series of its own */
	struct figures fig;
};

/* What its group is called: where that is its name, the process's. */
const char *export_member_group(const struct export_member *member);

struct population;

/* All memory that will be needed. 0 or -ENOMEM. */
int population_new(struct population **population, const struct selection_by *by);
void population_free(struct population *population);

void population_lock(struct population *population);
void population_unlock(struct population *population);

/* Looks at /proc unless the last look is younger than FRESH_NS: who is there now. What a
 * process that stays has is kept. 0; or -errno and FAULT when /proc cannot be read. */
int population_scan(struct population *population, int64_t fresh_ns, struct fault *fault);

/* Of what an exporter may spend, what looks may take. */
#define POPULATION_SHARE 0.25

/* How old the last look may be: LEAST_NS, or so old that looks take their part of SHARE
 * of a processor at most. */
int64_t population_fresh_ns(const struct population *population, int64_t least_ns,
			    double share);

/* How many looks there were; what the last one, and all, took of a processor. */
uint64_t population_scans(const struct population *population);
int64_t population_scan_cpu_ns(const struct population *population);
int64_t population_scans_cpu_ns(const struct population *population);

/* Processes that belong to it and found no room in the last look. */
size_t population_left_out(const struct population *population);

size_t population_count(const struct population *population);

/* I below the count; valid until the lock is given back. */
struct export_member *population_at(struct population *population, size_t i);

/* The process PID that began at START_TICKS; null: it is not there any more. */
struct export_member *population_find(struct population *population, int pid,
				      uint64_t start_ticks);

/* The process that had PID last: one that is there, or one of the last to have ended;
 * null: neither. */
const struct export_member *population_last_of(const struct population *population,
					       int pid);

#endif
