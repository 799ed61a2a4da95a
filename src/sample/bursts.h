/* bursts.h: the third type that flows to the views: what was asked of a target's malloc,
 * and how long it took, over short bursts in which every call is counted. */
#ifndef FRAGSCOPE_BURSTS_H
#define FRAGSCOPE_BURSTS_H

#include <stdbool.h>
#include <stdint.h>

/* Class 0 counts the value 0, class I the values of I bits: 2^(I-1) to 2^I - 1. */
enum { HISTOGRAM_CLASSES = 65 };

struct histogram {
	uint64_t count[HISTOGRAM_CLASSES];
};

/* Sums since the start. Every call of malloc that entered during a burst is in CALLS and
 * in SIZES; of these the ones that returned during it are in LATENCY_NS. */
struct bursts {
	int64_t time_ns; /* CLOCK_REALTIME: until when */
	int pid;
	const char *comm;
	uint64_t bursts;
	uint64_t watched_ns; /* all bursts together */
	uint64_t calls;
	struct histogram sizes; /* requests, in bytes */
	bool has_latency;	/* else what follows must not be read */
	struct histogram latency_ns;
	unsigned own_latency_class; /* of what the probe itself adds to each latency */
};

/* The least and the greatest value of class I. */
static inline uint64_t histogram_from(unsigned i)
{
	return i ? UINT64_C(1) << (i - 1) : 0;
}

static inline uint64_t histogram_to(unsigned i)
{
	return i ? UINT64_MAX >> (64 - i) : 0;
}

#endif
