/* watch_bursts.c: watch_bursts PID BURSTS [latency]: that many bursts on PID, one after
 * the other, then what they have counted as JSON on standard output. Standard error: the
 * price, or why there is none; the exit status is a verb's. */
#include "base/output.h"
#include "probe/burst.h"
#include "probe/preflight.h"
#include "view/histogram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int watch(const struct process *process, unsigned long count, bool latency,
		 struct bursts *total, struct fault *fault)
{
	const struct burst_options options = {
		.latency = latency,
		.period_ns = BURST_PERIOD_NS,
		.length_ns = BURST_LENGTH_NS,
	};
	struct burst *burst;
	int error = burst_open(&burst, process, &options, fault);

	if (error)
		return error;
	fprintf(stderr, "%s\n", burst_describe(burst));
	for (unsigned long i = 0; !error && i < count; i++)
		error = burst_tick(burst, burst_due_ns(burst), fault);
	if (!error && burst_total(burst, total))
		error = fault_set(fault, EXIT_FAILED, -1, "cannot read the counts");
	burst_close(burst);
	return error;
}

static int print(const struct bursts *total)
{
	static char buf[HISTOGRAM_TEXT_BYTES];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	histogram_json(&text, total);
	return text.overflow || output_write(STDOUT_FILENO, text.buf, text.length)
		       ? EXIT_FAILED
		       : EXIT_DONE;
}

int main(int argc, char **argv)
{
	struct process process;
	struct fault fault = {0};
	struct bursts total;
	int status = EXIT_USAGE;

	if (argc < 3)
		return status;
	preflight_verbose(false);
	if (process_open(&process, atoi(argv[1]), &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		return fault.status;
	}
	if (watch(&process, strtoul(argv[2], NULL, 10), argc > 3, &total, &fault)) {
		fprintf(stderr, "%s\n", fault.text);
		status = fault.status;
	} else {
		status = print(&total);
	}
	process_close(&process);
	return status;
}
