/* run.c: `fragscope run`: starts a command with the sampler preloaded into it, stands
 * between it and who started it without being noticed, and writes its samples to a file.
 */
#include "base/clock.h"
#include "engine/loadable.h"
#include "engine/sampler.h"
#include "help.h"
#include "source/source.h"
#include "verb.h"
#include "verbs.h"
#include "view/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_INTERVAL_NS INT64_C(1000000000)
#define SHORTEST_NS	    INT64_C(1000000)

enum {
	LOOK_NS = 5000000, /* between looks for a sampler that is not there yet */
	LOOK_DOUBLINGS = 6,
	ROWS_NS =
		50000000, /* between looks for samples, at most: what a command leaves */
	ROWS_LEAST_NS = 10000000, /* behind when it ends is lost */
	WIDE = 250,		  /* columns of text: a file is as wide as it likes */
};

/* The command line. */
struct request {
	bool arenas, csv, json, no_header, no_children;
	const char *output;
	int64_t interval_ns, detail_ns;
	uint64_t sampler_cost_percent;
	char settings[128]; /* of what was given: what was not stays as it is set already
			     */
	char **words;
};

/* What is written of the command, while it runs. */
struct watch {
	const struct request *request;
	int pid, fd;
	struct source *source; /* null until the sampler is found */
	struct sample *sample;
	struct view *view;
	unsigned looks; /* for a sampler, in vain */
	int64_t due_ns;
	bool headed, broken;
	uint64_t rows;
	struct fault fault; /* why no sampler was found, or what broke */
};

/* clang-format off */
#define FIELD(name) offsetof(struct request, name)

static const struct option_spec options[] = {
	{.name = "interval", .letter = 'i', .kind = OPTION_TIME, .value = "TIME",
	 .offset = FIELD(interval_ns),
	 .help = "Take a sample every TIME (1s unless given, 1ms at least)."},
	{.name = "detail", .kind = OPTION_TIME, .value = "TIME", .offset = FIELD(detail_ns),
	 .help = "Ask for arenas and bins every TIME at most (with every sample unless given): that takes longest."},
	{.name = "sampler-cost", .kind = OPTION_COUNT, .value = "PERCENT", .limit = 100,
	 .offset = FIELD(sampler_cost_percent),
	 .help = "Spend at most PERCENT of the time on samples (1 unless given); fewer are taken where they are dear."},
	{.name = "no-children", .kind = OPTION_FLAG, .offset = FIELD(no_children),
	 .help = "Take no samples of the command's children, whatever they execute."},
	{.name = "output", .letter = 'o', .kind = OPTION_FILE, .value = "FILE",
	 .offset = FIELD(output),
	 .help = "Write every sample of the command as a row to FILE; what it held is lost."},
	ROW_CSV("Write CSV; needs --output."),
	ROW_JSON("Write JSON, one object a line; needs --output."),
	{.name = "arenas", .kind = OPTION_FLAG, .offset = FIELD(arenas),
	 .help = "Write a row for each arena after that of the process; needs --output."},
	{.name = "no-header", .kind = OPTION_FLAG, .offset = FIELD(no_header),
	 .help = "Write rows only: no header, no headings, no '#' lines; needs --output."},
	{.name = "max-cost", .kind = OPTION_GONE,
	 .help = "what samples may cost the command is --sampler-cost PERCENT"},
	ROW_HELP,
};

const struct command command_run;
static int run(const struct command *command, int argc, char **argv);

const struct command command_run = {
	.name = "run",
	.synopsis = "[OPTION...] [--] COMMAND [ARGUMENT...]",
	.summary = "a command with the sampler in it, for stat to read",
	.description =
		"Starts COMMAND with a library preloaded that takes a sample of its allocator "
		"every second. 'fragscope stat -p PID --source preload' reads these samples, "
		"also where the heap itself may not be read or is not glibc's. COMMAND has "
		"its own input, output and signals, and its exit status is that of run.",
	.options = options,
	.option_count = sizeof(options) / sizeof(options[0]),
	.takes_command = true,
	.run = run,
};
/* clang-format on */

/* ---- the command line ---- */

static int check(const struct command *command, const struct request *request,
		 const struct parsed *parsed, struct fault *fault)
{
	static const char *const of_rows[] = {"csv", "json", "arenas", "no-header"};

	if (request->csv && request->json)
		return usage_fault(fault, command, "--csv and --json exclude each other");
	for (size_t i = 0; i < sizeof(of_rows) / sizeof(of_rows[0]); i++)
		if (!request->output && options_given(command, parsed, of_rows[i]))
			return usage_fault(fault, command, "--%s needs --output",
					   of_rows[i]);
	if (request->interval_ns < SHORTEST_NS)
		return usage_fault(fault, command,
				   "option '--interval': the shortest is 1ms");
	if (!parsed->words)
		return usage_fault(fault, command, "no command given");
	return 0;
}

static void add_setting(struct text *text, const char *name, int64_t value,
			const char *unit)
{
	if (text->length)
		text_char(text, ',');
	text_string(text, name);
	text_char(text, '=');
	text_i64(text, value);
	text_string(text, unit);
}

static void set_settings(const struct command *command, struct request *request,
			 const struct parsed *parsed)
{
	struct text text;

	text_init(&text, request->settings, sizeof(request->settings));
	if (options_given(command, parsed, "interval"))
		add_setting(&text, "interval", request->interval_ns, "ns");
	if (options_given(command, parsed, "detail"))
		add_setting(&text, "detail", request->detail_ns, "ns");
	if (options_given(command, parsed, "sampler-cost"))
		add_setting(&text, "max_cost", (int64_t)request->sampler_cost_percent,
			    "%");
	if (request->no_children)
		text_string(&text, text.length ? ",children=no" : "children=no");
}

static int read_request(const struct command *command, int argc, char **argv,
			struct request *request, struct parsed *parsed,
			struct fault *fault)
{
	int error;

	*request = (struct request){.interval_ns = DEFAULT_INTERVAL_NS};
	error = options_parse(command, argc, argv, request, parsed, fault);
	if (error || parsed->help)
		return error;
	request->words = parsed->words;
	set_settings(command, request, parsed);
	return check(command, request, parsed, fault);
}

/* ---- the environment that the command gets ---- */

/* Sets NAME to FIRST, SEPARATOR and what it was. */
static int put_before(const char *name, const char *first, char separator)
{
	const char *before = getenv(name);
	char *value;
	int error;

	if (!before || !*before)
		return setenv(name, first, 1) ? -errno : 0;
	if (asprintf(&value, "%s%c%s", first, separator, before) < 0)
		return -ENOMEM;
	error = setenv(name, value, 1) ? -errno : 0;
	free(value);
	return error;
}

/* What a program above this one has set for its children is not meant for the command. */
static int set_variable(const struct request *request)
{
	const char *before = getenv("FRAGSCOPE");
	int error = 0;

	if (before && strstr(before, "pid="))
		error = put_before("FRAGSCOPE", "pid=0", ',');
	if (!error && *request->settings)
		error = put_before("FRAGSCOPE", request->settings, ',');
	return error;
}

static int set_environment(const struct request *request, struct fault *fault)
{
	char path[PATH_MAX];
	int error = sampler_find(path, fault);

	if (error)
		return error;
	if (strpbrk(path, ": "))
		return fault_set(fault, EXIT_NO_SOURCE, -EINVAL,
				 "the loader cannot preload '%s': it takes spaces and "
				 "colons for separators",
				 path);
	error = put_before("LD_PRELOAD", path, ':');
	if (!error)
		error = set_variable(request);
	if (error)
		return fault_set(fault, EXIT_FAILED, error, "out of memory");
	return 0;
}

/* ---- rows ---- */

static int output_fault(const struct request *request, int error, struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, error, "cannot write rows to %s: %s",
			 request->output, strerror(-error));
}

static int open_rows(struct watch *watch, struct fault *fault)
{
	const struct request *request = watch->request;
	const struct view_options wanted = {
		.format = request->json	 ? VIEW_JSON
			  : request->csv ? VIEW_CSV
					 : VIEW_TEXT,
		.header = !request->no_header,
		.arenas = request->arenas,
		.columns = WIDE,
	};
	int error;

	watch->fd = -1;
	if (!request->output)
		return 0;
	watch->fd = open(request->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (watch->fd < 0)
		return output_fault(request, -errno, fault);
	if (view_open(&watch->view, watch->fd, &wanted))
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	error = view_header(watch->view);
	return error ? output_fault(request, error, fault) : 0;
}

static void leave(struct watch *watch)
{
	source_close(watch->source);
	sample_free(watch->sample);
	watch->source = NULL;
	watch->sample = NULL;
}

/* No row is written from now on; the command goes on. */
static void give_up(struct watch *watch)
{
	verb_message(watch->fault.text);
	watch->broken = true;
	leave(watch);
}

/* Looks for the sampler, which comes some milliseconds after the program. */
static void look(struct watch *watch)
{
	const struct source_options wanted = {
		.source = SOURCE_PRELOAD,
		.follow = true,
		.quick = true,
		.arenas = watch->request->arenas,
	};

	if (source_open(&watch->source, watch->pid, &wanted, &watch->fault)) {
		watch->source = NULL;
		watch->looks++;
		return;
	}
	watch->looks = 0;
	watch->sample = source_sample(watch->source);
	if (!watch->sample) {
		fault_set(&watch->fault, EXIT_FAILED, -ENOMEM, "out of memory");
		give_up(watch);
	} else if (view_note(watch->view, source_describe(watch->source))) {
		output_fault(watch->request, -EIO, &watch->fault);
		give_up(watch);
	}
}

/* Writes all samples that are new. A program that ended, or became another, has left the
 * last ones behind. */
static void write_rows(struct watch *watch)
{
	int result;

	while ((result = source_read(watch->source, watch->sample, &watch->fault)) ==
	       SOURCE_READ) {
		int error = view_sample(watch->view, watch->sample);

		if (error) {
			output_fault(watch->request, error, &watch->fault);
			give_up(watch);
			return;
		}
		watch->rows++;
	}
	if (result == SOURCE_ENDED)
		leave(watch);
	else if (result != SOURCE_NOTHING_NEW)
		give_up(watch);
}

/* How long until the next look. The samples of one gap always fit the sampler's memory.
 */
static int64_t gap_ns(const struct watch *watch)
{
	unsigned doublings =
		watch->looks < LOOK_DOUBLINGS ? watch->looks : LOOK_DOUBLINGS;
	int64_t rows_ns = watch->request->interval_ns;

	if (!watch->source)
		return (int64_t)LOOK_NS << doublings;
	if (rows_ns < ROWS_LEAST_NS)
		return ROWS_LEAST_NS;
	return rows_ns < ROWS_NS ? rows_ns : ROWS_NS;
}

static void watch_on(struct watch *watch)
{
	if (!watch->source)
		look(watch);
	if (watch->source)
		write_rows(watch);
	watch->due_ns = clock_monotonic_ns() + gap_ns(watch);
}

static void close_rows(struct watch *watch)
{
	if (watch->source)
		write_rows(watch);
	leave(watch);
	if (watch->view)
		view_close(watch->view);
	if (watch->fd < 0)
		return;
	if (close(watch->fd) && !watch->broken) {
		output_fault(watch->request, -errno, &watch->fault);
		verb_message(watch->fault.text);
	} else if (!watch->rows && !watch->broken) {
		const struct frontend frontend = {.message = verb_message};

		frontend_message(&frontend, "no sample of the command was had: %s",
				 *watch->fault.text ? watch->fault.text
						    : "it ended before the first");
	}
}

/* ---- the command ---- */

/* What the command is given back before it starts. */
struct start {
	sigset_t mask;
	struct sigaction child_action;
};

/* Never returns. ERROR_FD takes what exec said, and is closed by an exec that works. */
static void become(char **words, const struct start *start, int error_fd)
{
	int error;

	sigaction(SIGCHLD, &start->child_action, NULL);
	sigprocmask(SIG_SETMASK, &start->mask, NULL);
	execvp(words[0], words);
	error = errno;
	while (write(error_fd, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(EXIT_NOT_FOUND);
}

static int cannot_run(const char *word, int error, struct fault *fault)
{
	return fault_set(fault, error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE,
			 -error, "cannot run '%s': %s", word, strerror(error));
}

/* 0 and *PID once the command runs; else -errno and FAULT, and nothing is left. */
static int start_command(char **words, const struct start *start, int *pid,
			 struct fault *fault)
{
	int ends[2], error = 0;
	ssize_t got;

	if (pipe2(ends, O_CLOEXEC))
		return fault_set(fault, EXIT_FAILED, -errno, "cannot make a pipe: %s",
				 strerror(errno));
	*pid = fork();
	if (*pid < 0)
		error = fault_set(fault, EXIT_FAILED, -errno, "cannot make a process: %s",
				  strerror(errno));
	else if (!*pid)
		become(words, start, ends[1]);
	close(ends[1]);
	if (*pid > 0) {
		do
			got = read(ends[0], &error, sizeof(error));
		while (got < 0 && errno == EINTR);
		error = got == sizeof(error) ? cannot_run(words[0], error, fault) : 0;
		if (error)
			waitpid(*pid, NULL, 0);
	}
	close(ends[0]);
	return error;
}

/* Whoever waits for the command to close a pipe must not wait for this process: only the
 * rows and standard error, for what must be said, stay open. */
static void let_go(int keep_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned keep = keep_fd < 0 ? STDERR_FILENO : (unsigned)keep_fd;

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
#ifdef SYS_close_range
	if (keep > STDERR_FILENO + 1)
		syscall(SYS_close_range, STDERR_FILENO + 1, keep - 1, 0);
	syscall(SYS_close_range, keep + 1, ~0U, 0);
#endif
}

/* What the terminal and the kernel send reaches the command by itself: it is of the same
 * process group. What another process sends to this one is meant for the command. */
static void pass_on(int pid, const siginfo_t *info)
{
	if (info->si_code <= 0)
		kill(pid, info->si_signo);
}

/* Waits for one of SIGNALS; until DUE_NS, unless that is 0. 0: the time is up. */
static int wait_signal(const sigset_t *signals, int64_t due_ns, siginfo_t *info)
{
	int64_t left_ns = due_ns - clock_monotonic_ns();
	struct timespec left;
	int signal;

	if (!due_ns) {
		signal = sigwaitinfo(signals, info);
	} else {
		left_ns = left_ns < 0 ? 0 : left_ns;
		left = (struct timespec){left_ns / 1000000000, left_ns % 1000000000};
		signal = sigtimedwait(signals, info, &left);
	}
	if (signal > 0)
		return signal;
	return errno == EAGAIN ? 0 : -errno;
}

/* Until the command ends; its wait status. */
static int attend(struct watch *watch, const sigset_t *signals)
{
	int status = 0;

	for (;;) {
		bool watches = watch->view && !watch->broken;
		siginfo_t info;
		int signal = wait_signal(signals, watches ? watch->due_ns : 0, &info);

		if (!signal)
			watch_on(watch);
		else if (signal == SIGCHLD &&
			 waitpid(watch->pid, &status, WNOHANG) == watch->pid)
			return status;
		else if (signal > 0 && signal != SIGCHLD)
			pass_on(watch->pid, &info);
	}
}

/* The signals that this process takes for the command, and SIGCHLD. */
static void take_signals(sigset_t *signals, struct start *start)
{
	static const int taken[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
				    SIGUSR1, SIGUSR2, SIGCHLD};
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t blocked;

	sigemptyset(signals);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(signals, taken[i]);
	blocked = *signals;
	sigaddset(&blocked, SIGPIPE);
	sigaction(SIGCHLD, &plain, &start->child_action);
	sigprocmask(SIG_BLOCK, &blocked, &start->mask);
}

/* 0 and the command's *STATUS as shells give it, or -errno and FAULT. */
static int run_command(const struct request *request, int *status, struct fault *fault)
{
	struct watch watch = {.request = request};
	struct start start;
	sigset_t signals;
	int error, ended;

	error = loadable_check(request->words[0], fault);
	if (!error)
		error = set_environment(request, fault);
	if (!error)
		error = open_rows(&watch, fault);
	if (error)
		return error;
	take_signals(&signals, &start);
	error = start_command(request->words, &start, &watch.pid, fault);
	if (error)
		return error;
	let_go(watch.fd);
	watch.due_ns = clock_monotonic_ns() + LOOK_NS;
	ended = attend(&watch, &signals);
	close_rows(&watch);
	*status = WIFSIGNALED(ended) ? 128 + WTERMSIG(ended) : WEXITSTATUS(ended);
	return 0;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct request request;
	struct parsed parsed;
	struct fault fault;
	int status = EXIT_DONE;
	int error = read_request(command, argc, argv, &request, &parsed, &fault);

	if (!error && parsed.help)
		help_command(stdout, command);
	else if (!error)
		error = run_command(&request, &status, &fault);
	return error ? verb_failed(command, &fault) : status;
}
