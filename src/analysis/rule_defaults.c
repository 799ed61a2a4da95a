/* rule_defaults.c: the rules that hold where none are given. */
#include "analysis/rule.h"

#include <stdio.h>

#define NS_PER_S INT64_C(1000000000)

enum { READINGS = 30 };

/* What holds where no rules are given: the two signs that matter most, the first at three
 * speeds. FORMAT takes the name and WINDOW_S, each of them as long as READINGS at
 * least.
 *
 * The largest free chunk turns into crumbs: its share of the free memory falls, it falls
 * itself, and what is free besides it grows. A program that grows eats the largest chunk
 * but makes no crumbs; a cache that drops entries makes crumbs but eats no chunk. Within
 * minutes a program that just starts does both, but uses up its free memory with it.
 *
 * Chunks multiply: there are more of them, each smaller, while about as much is free. */
static const struct {
	const char *name, *format;
	unsigned window_s[5];
} defaults[] = {
	{"largest-free-falls",
	 "%s: largest_free / free drops 25%% in %us and largest_free falling %us by "
	 "15%% at 0.001%% and free - largest_free rising %us by 10%% at 0.001%% and "
	 "free > 8M until largest_free / free rises 50%% in %us",
	 {60, 30, 30, 60}},
	{"largest-free-decays",
	 "%s: largest_free / free drops 30%% in %us and largest_free falling %us by "
	 "30%% at 0.1%% and free - largest_free rising %us by 20%% at 0.1%% and "
	 "free flat %us by 20%% and free > 8M until largest_free / free rises 50%% in "
	 "%us",
	 {600, 600, 600, 600, 600}},
	{"largest-free-sinks",
	 "%s: largest_free / free drops 40%% in %us and largest_free falling %us by "
	 "20%% at 0.1%% and free - largest_free rising %us by 20%% at 0.1%% and "
	 "free > 8M until largest_free / free rises 50%% in %us",
	 {14400, 7200, 7200, 3600}},
	{"free-chunks-multiply",
	 "%s: free_chunks rising %us by 40%% at 0.001%% and free / free_chunks falling "
	 "%us by 40%% at 0.001%% and free flat %us by 10%% and free > 8M until "
	 "free_chunks falling %us",
	 {1200, 1200, 1200, 1200}},
};

/* In whole seconds. */
static unsigned window_of(unsigned seconds, int64_t interval_ns)
{
	int64_t least_ns = READINGS * interval_ns;

	if (interval_ns > RULE_WINDOW_MAX_NS / READINGS)
		return RULE_WINDOW_MAX_NS / NS_PER_S;
	if (least_ns <= seconds * NS_PER_S)
		return seconds;
	return (unsigned)((least_ns + NS_PER_S - 1) / NS_PER_S);
}

void rules_add_defaults(struct rules *rules, int64_t interval_ns)
{
	char text[512];

	for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
		const unsigned *seconds = defaults[i].window_s;

		snprintf(text, sizeof(text), defaults[i].format, defaults[i].name,
			 window_of(seconds[0], interval_ns),
			 window_of(seconds[1], interval_ns),
			 window_of(seconds[2], interval_ns),
			 window_of(seconds[3], interval_ns),
			 window_of(seconds[4], interval_ns));
		rules_add(rules, text, NULL);
	}
}
