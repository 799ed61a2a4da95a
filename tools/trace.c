/* trace.c: `fragscope trace`: heap growth, failed allocations, moved thresholds and
 * kills, as they happen, with stacks. */
#include "engine/trace.h"
#include "bpf/probe.h"
#include "engine/trace_survivors.h"
#include "help.h"
#include "probe/preflight.h"
#include "verb.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_READING_NS INT64_C(30000000000)
#define DEFAULT_STACK	   UINT64_C(16384)
#define STACK_MAX	   UINT64_C(65536)
#define SURVIVORS_LEAST_NS INT64_C(1000000000)

enum {
	RATE = 20,
	RATE_OF_FOLD = 100, /* no block an event is printed, so more can be looked at */
	RATE_MAX = 1000,
};

/* clang-format off */
#define FIELD(name) offsetof(struct trace_request, name)

static const struct option_spec options[] = {
	ROW_PIDS("Trace"),
	ROW_NAMES("Trace"),
	{.name = "failures", .kind = OPTION_FLAG, .offset = FIELD(failures),
	 .help = "Print failed allocations only, each with the limit that it met."},
	{.name = "oom", .kind = OPTION_FLAG, .offset = FIELD(oom),
	 .help = "Print only what the kernel kills for memory, anywhere on the host; no process need be given."},
	{.name = "fold", .kind = OPTION_FLAG, .offset = FIELD(fold),
	 .help = "Print no events; at the end print a table of stacks by bytes grown and failures. With --survivors: print folded stacks instead of the table."},
	{.name = "folded", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(folded),
	 .help = "Also write the stacks to FILE, in the form that flame graph tools read; overwrites FILE. Implies --fold, except with --survivors."},
	{.name = "bursts", .kind = OPTION_FLAG, .offset = FIELD(bursts),
	 .help = "Also count every call of malloc by size for 20ms every 5s, by a probe on it; costs each such call 1us to some 10us; the cost here is measured and printed at the start."},
	{.name = "latency", .kind = OPTION_FLAG, .offset = FIELD(latency),
	 .help = "With --bursts: also measure how long the calls took, which costs them about twice as much."},
	{.name = "survivors", .kind = OPTION_TIME, .value = "TIME", .fallback = "2s",
	 .offset = FIELD(survivors_ns),
	 .help = "Print no events, but who allocates what stays. Every TIME (2s unless given) a short burst of a probe on malloc samples calls with their stacks; later readings of the heap show which of those chunks are still in use. At the end, print a table by surviving bytes a second. Costs about 1% of a program that calls malloc a million times a second; the cost here is measured and printed at the start."},
	{.name = "for", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(for_ns),
	 .help = "End after TIME."},
	ROW_JSON("Print JSON: one object an event, a line each."),
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Write events to FILE instead of standard output; overwrites FILE."},
	{.name = "no-header", .kind = OPTION_FLAG, .offset = FIELD(no_header),
	 .help = "Print events only: no '#' lines."},
	{.name = "rate", .kind = OPTION_COUNT, .value = "N", .limit = RATE_MAX,
	 .offset = FIELD(rate),
	 .help = "Print at most N events a second (20 unless given, 100 with --fold) of each process, failures apart; the others are counted."},
	{.name = "stack-bytes", .kind = OPTION_BYTES, .value = "SIZE",
	 .offset = FIELD(stack_bytes),
	 .help = "Copy SIZE of a thread's stack, 4K to 64K (16K unless given); costs the thread some 0.1us a KB and event."},
	{.name = "reading", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(reading_ns),
	 .help = "Read the whole heap every TIME (30s unless given), to print with each event what was free; 0: never."},
	{.name = "verbose", .kind = OPTION_FLAG, .offset = FIELD(verbose),
	 .help = "Show libbpf's and the kernel's messages about the probes on standard error."},
	ROW_HELP,
};

const struct command command_trace;
static int run(const struct command *command, int argc, char **argv);

const struct command command_trace = {
	.name = "trace",
	.synopsis = "-p PID[,PID...] [OPTION...]",
	.summary = "heap growth, failed allocations and kills, with stacks",
	.description =
		"Attaches eBPF probes to running processes and prints, until it is stopped, each time that a heap grows, an allocation fails, a free moves malloc's thresholds, or the kernel kills a process for memory: bytes, request, arena, and the call stack. The probes cost the process 5 to 15us an event with its stack, some 1us a brk, mmap or munmap, and nothing at malloc and free; other processes 0.3 to 0.5us a brk, mmap or munmap.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.max_operands = 0,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

static int check(const struct command *command, const struct trace_request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	if (request->survivors_ns &&
	    (request->failures || request->oom || request->bursts))
		return usage_fault(fault, command,
				   "--survivors excludes --failures, --oom and --bursts");
	if (request->survivors_ns && request->survivors_ns < SURVIVORS_LEAST_NS)
		return usage_fault(fault, command, "option '--survivors': 1s or more");
	if (request->latency && !request->bursts)
		return usage_fault(fault, command, "--latency needs --bursts");
	if (request->json && request->fold)
		return usage_fault(fault, command,
				   "--json and --fold exclude each other");
	if (request->oom && request->fold)
		return usage_fault(fault, command, "--oom and --fold exclude each other");
	if (request->stack_bytes < PROBE_PAGE || request->stack_bytes > STACK_MAX ||
	    request->stack_bytes % PROBE_PAGE)
		return usage_fault(
			fault, command,
			"option '--stack-bytes': a multiple of 4K, from 4K to 64K");
	if (!request->pids.count && !request->names.count && !request->oom)
		return no_process_fault(fault, command, parsed);
	return 0;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct trace_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct trace_request){
		.reading_ns = DEFAULT_READING_NS,
		.stack_bytes = DEFAULT_STACK,
	};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	if (request->folded && !request->survivors_ns)
		request->fold = true;
	if (!request->rate)
		request->rate = request->fold ? RATE_OF_FOLD : RATE;
	error = check(command, request, parsed, fault);
	for (size_t i = 0; !error && i < request->names.count; i++)
		error = targets_named(request->names.name[i], &request->pids, fault);
	return error;
}

static int run_survivors(const struct command *command,
			 const struct trace_request *request, struct fault *fault)
{
	struct survivors_request wanted = {
		.frontend = request->frontend,
		.for_ns = request->for_ns,
		.period_ns = request->survivors_ns,
		.stack_bytes = request->stack_bytes,
		.json = request->json,
		.fold = request->fold,
		.no_header = request->no_header,
		.output = request->output,
		.folded = request->folded,
	};

	if (request->pids.count != 1)
		return usage_fault(fault, command,
				   "%zu processes: --survivors looks at one",
				   request->pids.count);
	wanted.pid = request->pids.pid[0];
	preflight_verbose(request->verbose);
	return trace_survivors(&wanted, fault);
}

static int trace(const struct command *command, struct trace_request *request,
		 int *status, struct fault *fault)
{
	request->frontend = verb_frontend();
	return request->survivors_ns ? run_survivors(command, request, fault)
				     : trace_run(request, status, fault);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct trace_request request = {0};
	struct parsed parsed = {0};
	struct fault fault;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);
	int status = EXIT_DONE;

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = trace(command, &request, &status, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	return error ? verb_failed(command, &fault) : status;
}
