/* owners.c: `fragscope owners`: who holds the chunks that keep memory from going back. */
#include "view/owners.h"
#include "base/privilege.h"
#include "base/units.h"
#include "engine/owners_recorded.h"
#include "engine/owners_stacks.h"
#include "engine/targets.h"
#include "help.h"
#include "source/source.h"
#include "verb.h"
#include "verbs.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_TOP = 10, PROGRESS_LEAST_PERCENT = 1 };

#define DEFAULT_MEMORY	 (UINT64_C(512) << 20)
#define DEFAULT_PAUSE_NS INT64_C(2000000000)

/* The command line. */
struct owners_request {
	struct pid_list pids;
	struct name_list names;
	bool live, json, dot, folded;
	unsigned by; /* of ways */
	int64_t pause_ns;
	const char *arena, *size, *at, *pprof, *replay;
	uint64_t memory_bytes, top, threads;
	struct owners_options options;
};

enum { BY_PATH, BY_STACK };
static const char *const ways[] = {"path", "stack", NULL};

/* clang-format off */
#define FIELD(name) offsetof(struct owners_request, name)

static const struct option_spec options[] = {
	ROW_PID("Look at"),
	ROW_NAME("Look at"),
	{.name = "by", .kind = OPTION_CHOICE, .choices = ways, .offset = FIELD(by),
	 .help = "Who points to the chunks (path, unless given), or whose stack allocated them: of a program under 'run --stacks', with any allocator."},
	{.name = "live", .kind = OPTION_FLAG, .offset = FIELD(live),
	 .help = "All chunks in use, not only those that pin free memory."},
	{.name = "arena", .kind = OPTION_FILE, .value = "N", .offset = FIELD(arena),
	 .help = "Only chunks of arena N; 0 is the main one."},
	{.name = "size", .kind = OPTION_FILE, .value = "LOW-HIGH", .offset = FIELD(size),
	 .help = "Only chunks of these sizes, headers included."},
	{.name = "at", .kind = OPTION_FILE, .value = "ADDRESS", .offset = FIELD(at),
	 .help = "The one chunk that ADDRESS (0x...) lies in."},
	{.name = "top", .kind = OPTION_COUNT, .value = "N", .limit = OWNERS_MAX,
	 .offset = FIELD(top), .help = "Print N owners (10 unless given, 32 at most)."},
	{.name = "pause", .kind = OPTION_TIME, .value = "TIME", .fallback = "2s",
	 .offset = FIELD(pause_ns),
	 .help = "Stop the process while its memory is searched, for TIME at most (2s)."},
	{.name = "memory", .kind = OPTION_BYTES, .value = "SIZE",
	 .offset = FIELD(memory_bytes),
	 .help = "Use at most SIZE for tables (512M unless given); beyond it, take a "
		 "random sample."},
	{.name = "threads", .kind = OPTION_COUNT, .value = "N", .limit = OWNERS_THREADS,
	 .offset = FIELD(threads),
	 .help = "Look with N threads (as many as there are processors, 4 at most, unless given)."},
	{.name = "replay", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(replay),
	 .help = "Who held them by a recording of 'fragscope record --owners', or by a span of it (FILE@10:00-11:00): at the last look."},
	ROW_JSON("Write JSON: one object, unscaled."),
	{.name = "dot", .kind = OPTION_FLAG, .offset = FIELD(dot),
	 .help = "Write a graph for dot(1)."},
	{.name = "folded", .kind = OPTION_FLAG, .offset = FIELD(folded),
	 .help = "Write paths for a flame graph, weighted by what would come back."},
	{.name = "pprof", .kind = OPTION_FILE, .value = "FILE", .offset = FIELD(pprof),
	 .help = "Write a profile for pprof to FILE; needs --by stack."},
	ROW_HELP,
};
/* clang-format on */

static int run(const struct command *command, int argc, char **argv);

const struct command command_owners = {
	.name = "owners",
	.synopsis = "[OPTION...] -p PID",
	.summary = "who holds the chunks that pin memory",
	.description = "Searches the writable memory of a live process for pointers to "
		       "the chunks that pin free memory, and prints who holds them: the "
		       "path from a global variable, a thread's stack or another root, "
		       "and what would come back if the chunks at its end were freed. "
		       "The process need not be prepared and is not stopped.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.run = run,
};

/* ---- the command line ---- */

static int read_size(const struct command *command, struct owners_request *request,
		     struct fault *fault)
{
	char low[32];
	const char *dash = strchr(request->size, '-');
	size_t length = dash ? (size_t)(dash - request->size) : 0;

	if (length && length < sizeof(low)) {
		memcpy(low, request->size, length);
		low[length] = '\0';
		if (!units_parse_bytes(low, &request->options.from_bytes) &&
		    !units_parse_bytes(dash + 1, &request->options.to_bytes) &&
		    request->options.from_bytes <= request->options.to_bytes)
			return 0;
	}
	return usage_fault(fault, command, "'%s' is no range of sizes such as 1K-64K",
			   request->size);
}

static int read_selection(const struct command *command, struct owners_request *request,
			  struct fault *fault)
{
	struct owners_options *wanted = &request->options;
	uint64_t arena;
	char *end;

	*wanted = (struct owners_options){
		.live = request->live,
		.arena = BLOCKERS_ALL_ARENAS,
		.to_bytes = UINT64_MAX,
		.memory_bytes = request->memory_bytes,
		.threads = (unsigned)request->threads,
	};
	if (request->arena) {
		if (units_parse_count(request->arena, &arena) || arena > 1 << 20)
			return usage_fault(fault, command, "'%s' is no arena's number",
					   request->arena);
		wanted->arena = (int)arena;
	}
	if (request->at) {
		errno = 0;
		wanted->at = strtoull(request->at, &end, 16);
		if (errno || *end || !wanted->at || strncmp(request->at, "0x", 2))
			return usage_fault(fault, command,
					   "'%s' is no address such as 0x7f0012345670",
					   request->at);
	}
	return request->size ? read_size(command, request, fault) : 0;
}

/* The stacks are of a sample of all blocks: no chunks are chosen, and no paths found. */
static int check_way(const struct command *command, const struct owners_request *request,
		     const struct parsed *parsed, struct fault *fault)
{
	static const char *const of_paths[] = {"arena", "size",	   "at", "pause",
					       "dot",	"threads", NULL};

	if (request->by == BY_STACK)
		for (size_t i = 0; of_paths[i]; i++)
			if (options_given(command, parsed, of_paths[i]))
				return usage_fault(fault, command,
						   "--%s is not for --by stack",
						   of_paths[i]);
	if (request->by != BY_STACK && request->pprof)
		return usage_fault(fault, command, "--pprof needs --by stack");
	return 0;
}

/* The look has been made. */
static int check_replay(const struct command *command, const struct parsed *parsed,
			struct fault *fault)
{
	static const char *const live[] = {"by",    "live",   "arena",	 "size",  "at",
					   "pause", "memory", "threads", "pprof", NULL};

	return options_exclude(command, parsed, "replay", live, fault);
}

/* Those that this process may run on, as far as that many threads are of use. */
static unsigned processors(void)
{
	cpu_set_t set;
	int count = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return count < OWNERS_THREADS ? (unsigned)count : OWNERS_THREADS;
}

static int read_request(const struct command *command, int argc, char **argv,
			struct owners_request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct owners_request){.memory_bytes = DEFAULT_MEMORY,
					   .top = DEFAULT_TOP,
					   .threads = processors()};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	if (request->json + request->dot + request->folded > 1)
		return usage_fault(fault, command,
				   "--json, --dot and --folded exclude each other");
	if (request->replay)
		return check_replay(command, parsed, fault);
	error = check_way(command, request, parsed, fault);
	if (!error)
		error = read_selection(command, request, fault);
	if (!error && !request->pids.count && !request->names.count)
		return no_process_fault(fault, command, parsed);
	if (!error)
		error = targets_all_named(&request->names, &request->pids, fault);
	if (!error && request->pids.count != 1)
		return usage_fault(fault, command, "%zu processes: owners looks at one",
				   request->pids.count);
	return error;
}

/* ---- the search ---- */

/* How far it is, on a terminal: SHOWN is less than 0 elsewhere. */
struct owners_progress {
	int shown;
	uint64_t memory_bytes;
};

static void show_progress(double done, void *context)
{
	struct owners_progress *progress = context;
	int percent = (int)(done * 100);

	if (progress->shown < 0 || percent < progress->shown + PROGRESS_LEAST_PERCENT)
		return;
	progress->shown = percent;
	fprintf(stderr, "\rlooking for pointers, with tables of %s at most: %d%%",
		units_bytes_text(progress->memory_bytes).s, percent);
	fflush(stderr);
}

static enum owners_format format_of(const struct owners_request *request)
{
	return request->json	 ? OWNERS_JSON
	       : request->dot	 ? OWNERS_DOT
	       : request->folded ? OWNERS_FOLDED
				 : OWNERS_TEXT;
}

static int replay(const struct owners_request *request, struct fault *fault)
{
	const struct owners_recorded_request wanted = {
		.recording = request->replay,
		.pids = &request->pids,
		.names = &request->names,
		.format = format_of(request),
		.top = (unsigned)request->top,
	};

	privilege_drop();
	return owners_recorded(&wanted, fault);
}

static int search(const struct owners_request *request, struct owners *owners,
		  struct fault *fault)
{
	const struct source_options wanted = {
		.source = SOURCE_HEAP,
		.arenas = true,
		.survey = true,
		.threads = (unsigned)request->threads,
		.pause_ns = request->pause_ns,
	};
	struct source *source;
	int error = source_open(&source, request->pids.pid[0], &wanted, fault);
	struct owners_progress progress = {isatty(STDERR_FILENO) ? 0 : -1,
					   request->memory_bytes};

	if (error)
		return error;
	error = source_owners(source, owners, &request->options, show_progress, &progress,
			      fault);
	if (progress.shown > 0)
		fputs("\r\033[K", stderr);
	if (error == SOURCE_ENDED) {
		fault->status = EXIT_FAILED;
		error = -ESRCH;
	}
	if (!error) {
		const struct owners_about about = {
			.pid = request->pids.pid[0],
			.comm = source_comm(source),
			.describe = source_describe(source),
			.live = request->live || request->at,
			.top = (unsigned)request->top,
		};

		error = owners_write(owners, &about, format_of(request), STDOUT_FILENO);
		if (error)
			fault_set(fault, EXIT_FAILED, error,
				  "cannot write to standard output: %s",
				  strerror(-error));
	}
	source_close(source);
	return error;
}

static int search_stacks(const struct owners_request *request, struct fault *fault)
{
	const struct stacks_request wanted = {
		.pid = request->pids.pid[0],
		.top = (unsigned)request->top,
		.live = request->live,
		.memory_bytes = request->memory_bytes,
		.format = request->json	    ? STACKS_JSON
			  : request->folded ? STACKS_FOLDED
					    : STACKS_TEXT,
		.pprof = request->pprof,
	};

	return owners_by_stack(&wanted, fault);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct owners *owners = calloc(1, sizeof(*owners));
	struct owners_request request = {0};
	struct parsed parsed;
	struct fault fault;
	int error = owners ? 0
			   : fault_set(&fault, EXIT_FAILED, -ENOMEM,
				       "there is no memory left to start");

	if (!error)
		error = read_request(command, argc, argv, &request, &parsed, &fault);
	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = request.replay		 ? replay(&request, &fault)
			: request.by == BY_STACK ? search_stacks(&request, &fault)
						 : search(&request, owners, &fault);
	free(request.pids.pid);
	name_list_free(&request.names);
	free(owners);
	return error ? verb_failed(command, &fault) : EXIT_DONE;
}
