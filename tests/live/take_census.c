/* take_census.c: take_census WHOLE_BYTES [PID]...: a line of JSON a process, the largest
 * first, those PIDs having been probed. Before it probes it waits for a line of standard
 * input, and after that it scans once more. Standard error: what scans took, in ms. */
#include "base/clock.h"
#include "base/output.h"
#include "source/census.h"
#include "view/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_row(const struct census_row *row)
{
	static const enum figure shown[] = {FIG_RSS_BYTES, FIG_FREE_RESIDENT_BYTES,
					    FIG_FREE_BYTES, FIG_TOP_BYTES};
	char buf[4096];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	text_char(&text, '{');
	json_member_u64(&text, "pid", (uint64_t)row->pid);
	json_member_string(&text, "user", row->user);
	json_member_string(&text, "comm", row->comm);
	json_member_string(&text, "allocator", row->allocator);
	json_member_bool(&text, "probed", row->probed);
	json_member_string(&text, "why_not", row->why_not);
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		if (figure_has(&row->fig, shown[i]))
			json_member_u64(&text, figure_info[shown[i]].name,
					row->fig.v[shown[i]].u);
	json_member_bool(&text, "has_frag", figure_has(&row->fig, FIG_FRAG));
	text_string(&text, "}\n");
	output_write(STDOUT_FILENO, text.buf, text.length);
}

static void scan(struct census *census)
{
	int64_t begin_ns = clock_monotonic_ns();
	struct fault fault;

	if (census_scan(census, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		exit(EXIT_FAILED);
	}
	fprintf(stderr, "%zu %lld\n", census_count(census),
		(long long)(clock_monotonic_ns() - begin_ns) / 1000000);
}

static void probe(struct census *census, int pid, uint64_t whole_bytes)
{
	for (size_t i = 0; i < census_count(census); i++)
		if (census_at(census, i)->pid == pid)
			census_probe(census, i, whole_bytes);
}

int main(int argc, char **argv)
{
	struct census *census;

	if (argc < 2 || census_new(&census))
		return EXIT_USAGE;
	scan(census);
	if (argc > 2 && getchar() == EOF)
		return EXIT_USAGE;
	for (int i = 2; i < argc; i++)
		probe(census, atoi(argv[i]), strtoull(argv[1], NULL, 10));
	if (argc > 2)
		scan(census);
	for (size_t i = 0; i < census_count(census); i++)
		print_row(census_at(census, i));
	census_free(census);
	return EXIT_DONE;
}
