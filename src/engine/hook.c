#include "engine/hook.h"

#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/output.h"
#include "base/text.h"
#include "base/units.h"
#include "view/alerts.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NS_PER_S      INT64_C(1000000000)
#define RUN_NS_MAX    (60 * NS_PER_S)
#define START_EACH_NS (2 * NS_PER_S) /* 30 a minute, after a first burst */

enum {
	RUNNING_MAX = 4,
	QUEUE = 32,
	BURST = 10,
	FACTS = 9,
	FACT_BYTES = 2304,
};

extern char **environ;

/* One run that waits: its facts as "NAME=VALUE". */
struct job {
	char rule[RULE_NAME];
	char fact[FACTS][FACT_BYTES];
	char json[ALERT_TEXT_BYTES];
	size_t json_bytes;
};

/* What runs now, for a signal's handler: process groups, 0: none. There is one hook in a
 * program. */
static atomic_int groups[RUNNING_MAX];

struct running {
	pid_t pid; /* 0: none */
	char rule[RULE_NAME];
	int64_t until_ns;
};

struct hook {
	char *argv[4];
	char **env; /* this process's, then the facts, then null */
	size_t env_count;
	int input_fd; /* what the next command reads; kept open, so that no descriptor is
			 needed later */
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	const struct frontend *frontend;
	struct running running[RUNNING_MAX];
	int64_t next_start_ns; /* of a bucket that holds BURST starts */
	unsigned long long dropped;
	size_t waiting;
	struct job *job[QUEUE]; /* the first WAITING wait, in their order */
};

/* ---- making ---- */

/* Signals that verbs catch or ignore are the command's own again, and a Ctrl-C is not
 * for it. What it says goes to standard error: standard output is data. */
static int prepare_spawn(struct hook *hook, const sigset_t *mask)
{
	short flags =
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;
	sigset_t all;
	int error;

	sigfillset(&all);
	error = posix_spawn_file_actions_init(&hook->actions);
	error = error ? error : posix_spawnattr_init(&hook->attributes);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&hook->actions, hook->input_fd,
							 STDIN_FILENO);
	if (!error)
		error = posix_spawn_file_actions_adddup2(&hook->actions, STDERR_FILENO,
							 STDOUT_FILENO);
	if (error)
		return -error;
	posix_spawnattr_setflags(&hook->attributes, flags);
	posix_spawnattr_setsigmask(&hook->attributes, mask);
	posix_spawnattr_setsigdefault(&hook->attributes, &all);
	posix_spawnattr_setpgroup(&hook->attributes, 0);
	return 0;
}

static int prepare_memory(struct hook *hook)
{
	size_t count = 0;

	while (environ[count])
		count++;
	hook->env = alloc_touched((count + FACTS + 1) * sizeof(*hook->env));
	if (!hook->env)
		return -ENOMEM;
	memcpy(hook->env, environ, count * sizeof(*hook->env));
	hook->env_count = count;
	for (size_t i = 0; i < QUEUE; i++) {
		hook->job[i] = alloc_touched(sizeof(*hook->job[i]));
		if (!hook->job[i])
			return -ENOMEM;
	}
	return 0;
}

static void free_hook(struct hook *hook)
{
	for (size_t i = 0; i < QUEUE; i++)
		free(hook->job[i]);
	free(hook->env);
	if (hook->input_fd >= 0)
		close(hook->input_fd);
	free(hook);
}

static void end_groups(void)
{
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		int group = atomic_load(&groups[i]);

		if (group)
			kill(-group, SIGKILL);
	}
}

int hook_new(struct hook **hook, const char *command, const struct frontend *frontend,
	     struct fault *fault)
{
	struct hook *made = alloc_touched(sizeof(*made));
	int error = made ? 0 : -ENOMEM;

	if (error)
		return fault_set(fault, EXIT_FAILED, error, "out of memory");
	made->frontend = frontend;
	if (frontend->at_second_stop)
		frontend->at_second_stop(end_groups);
	made->argv[0] = "/bin/sh";
	made->argv[1] = "-c";
	made->argv[2] = (char *)command;
	made->input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	error = made->input_fd < 0 ? -errno : prepare_memory(made);
	if (!error)
		error = prepare_spawn(made, &frontend->before);
	if (!error) {
		*hook = made;
		return 0;
	}
	free_hook(made);
	return fault_set(fault, EXIT_FAILED, error, "cannot prepare to run commands: %s",
			 strerror(-error));
}

/* ---- what waits ---- */

static void set_fact(char *fact, const char *name, const char *value)
{
	struct text text;

	text_init(&text, fact, FACT_BYTES);
	text_string(&text, name);
	text_char(&text, '=');
	text_printable(&text, value, SIZE_MAX);
}

/* TIME_NS as RFC 3339, or nothing where it is not known. */
static void set_time(char *fact, const char *name, int64_t time_ns)
{
	char time[48] = "";
	struct text text;

	text_init(&text, time, sizeof(time));
	if (time_ns)
		clock_rfc3339(&text, time_ns);
	set_fact(fact, name, time);
}

static void set_facts(struct job *job, const struct alert *alert)
{
	static const struct origin unknown;
	const struct origin *origin = alert->origin ? alert->origin : &unknown;
	char pid[16], message[2048];
	struct text text;

	text_init(&text, pid, sizeof(pid));
	text_i64(&text, alert->pid);
	text_init(&text, message, sizeof(message));
	alert_sentence(&text, alert);
	set_fact(job->fact[0], "FRAGSCOPE_EVENT", alert_kind_name(alert->kind));
	set_fact(job->fact[1], "FRAGSCOPE_RULE", alert->rule->name);
	set_fact(job->fact[2], "FRAGSCOPE_SEVERITY",
		 severity_name(alert->rule->severity));
	set_fact(job->fact[3], "FRAGSCOPE_PID", pid);
	set_fact(job->fact[4], "FRAGSCOPE_COMM", alert->comm);
	set_time(job->fact[5], "FRAGSCOPE_TIME", alert->time_ns);
	set_fact(job->fact[6], "FRAGSCOPE_MESSAGE", message);
	set_fact(job->fact[7], "FRAGSCOPE_HOST", origin->host);
	set_time(job->fact[8], "FRAGSCOPE_STARTED", origin->started_ns);
}

void hook_add(struct hook *hook, const struct alert *alert, const char *json)
{
	struct job *job;

	if (hook->waiting == QUEUE) {
		hook->dropped++;
		return;
	}
	job = hook->job[hook->waiting++];
	memcpy(job->rule, alert->rule->name, sizeof(job->rule));
	set_facts(job, alert);
	job->json_bytes = strnlen(json, sizeof(job->json));
	memcpy(job->json, json, job->json_bytes);
}

/* Takes the job WHICH out of the queue; its memory waits behind the others. */
static void take_out(struct hook *hook, size_t which)
{
	struct job *job = hook->job[which];

	hook->waiting--;
	memmove(&hook->job[which], &hook->job[which + 1],
		(hook->waiting - which) * sizeof(struct job *));
	hook->job[hook->waiting] = job;
}

/* ---- running ---- */

static bool is_running(const struct hook *hook, const char *rule)
{
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (hook->running[i].pid && !strcmp(hook->running[i].rule, rule))
			return true;
	return false;
}

static struct running *free_slot(struct hook *hook)
{
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (!hook->running[i].pid)
			return &hook->running[i];
	return NULL;
}

/* A file in memory: a pipe might be too small to be written before it is read. */
static int set_input(struct hook *hook, const struct job *job)
{
	int fd = memfd_create("alert", MFD_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = output_write(fd, job->json, job->json_bytes);
	if (!error && lseek(fd, 0, SEEK_SET) < 0)
		error = -errno;
	if (!error && dup3(fd, hook->input_fd, O_CLOEXEC) < 0)
		error = -errno;
	close(fd);
	return error;
}

static void start(struct hook *hook, struct job *job, struct running *running,
		  int64_t now_ns)
{
	int error = set_input(hook, job);

	for (size_t i = 0; i < FACTS; i++)
		hook->env[hook->env_count + i] = job->fact[i];
	if (!error)
		error = -posix_spawn(&running->pid, hook->argv[0], &hook->actions,
				     &hook->attributes, hook->argv, hook->env);
	if (error) {
		running->pid = 0;
		frontend_message(hook->frontend,
				 "cannot run the command for alert '%s': %s", job->rule,
				 strerror(-error));
		return;
	}
	atomic_store(&groups[running - hook->running], running->pid);
	memcpy(running->rule, job->rule, sizeof(running->rule));
	running->until_ns = now_ns + RUN_NS_MAX;
}

/* One of RUNNING ended with STATUS, as waitpid tells it. */
static void tell_end(const struct hook *hook, const struct running *running, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status))
		frontend_message(hook->frontend,
				 "the command for alert '%s' ended with status %d",
				 running->rule, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		frontend_message(hook->frontend,
				 "the command for alert '%s' was ended by signal %d",
				 running->rule, WTERMSIG(status));
}

static void reap(struct hook *hook, int64_t now_ns)
{
	for (size_t i = 0; i < RUNNING_MAX; i++) {
		struct running *running = &hook->running[i];
		int status = 0;

		if (!running->pid)
			continue;
		if (waitpid(running->pid, &status, WNOHANG) == running->pid) {
			tell_end(hook, running, status);
			running->pid = 0;
			atomic_store(&groups[i], 0);
		} else if (now_ns > running->until_ns) {
			kill(-running->pid, SIGKILL);
		}
	}
}

/* Whether the rate lets one more start now; if so it is counted. */
static bool may_start(struct hook *hook, int64_t now_ns)
{
	int64_t full_ns = now_ns - BURST * START_EACH_NS;

	if (hook->next_start_ns < full_ns)
		hook->next_start_ns = full_ns;
	if (hook->next_start_ns + START_EACH_NS > now_ns)
		return false;
	hook->next_start_ns += START_EACH_NS;
	return true;
}

void hook_poll(struct hook *hook, int64_t now_ns)
{
	struct running *running;

	reap(hook, now_ns);
	for (size_t i = 0; i < hook->waiting && (running = free_slot(hook));) {
		struct job *job = hook->job[i];

		if (is_running(hook, job->rule)) {
			i++;
			continue;
		}
		if (!may_start(hook, now_ns))
			break;
		start(hook, job, running, now_ns);
		take_out(hook, i);
	}
	if (hook->dropped && hook->waiting < QUEUE) {
		frontend_message(hook->frontend,
				 "no command was run for %s: too many came at once",
				 units_counted_text(hook->dropped, "alert").s);
		hook->dropped = 0;
	}
}

bool hook_busy(const struct hook *hook)
{
	for (size_t i = 0; i < RUNNING_MAX; i++)
		if (hook->running[i].pid)
			return true;
	return hook->waiting > 0;
}

void hook_finish(struct hook *hook, int64_t wait_ns)
{
	int64_t now_ns = clock_monotonic_ns(), end_ns = now_ns + wait_ns;

	hook_poll(hook, now_ns);
	while (hook_busy(hook) && now_ns < end_ns) {
		clock_wait_until(now_ns + NS_PER_S / 50, &hook->frontend->before);
		now_ns = clock_monotonic_ns();
		hook_poll(hook, now_ns);
	}
	if (hook->waiting)
		frontend_message(hook->frontend,
				 "no command was run for %s: those before took too long",
				 units_counted_text(hook->waiting, "alert").s);
	posix_spawn_file_actions_destroy(&hook->actions);
	posix_spawnattr_destroy(&hook->attributes);
	free_hook(hook);
}
