#include "target/oom.h"

#include "base/file.h"
#include "base/units.h"
#include "target/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/oom.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_int(int pid, const char *name, int *value)
{
	char text[32], *end;
	ssize_t got = process_text(pid, name, text, sizeof(text));
	long number;

	if (got < 0)
		return (int)got;
	number = strtol(text, &end, 10);
	if (end == text || number < INT_MIN || number > INT_MAX)
		return -EPROTO;
	*value = (int)number;
	return 0;
}

/* Resident, of a process that is exempt by its oom_score_adj; else 0. Nor has a thread of
 * the kernel any. */
static uint64_t exempt_bytes(int pid)
{
	char text[128];
	unsigned long size, resident;
	int adj;

	if (read_int(pid, "oom_score_adj", &adj) || adj != OOM_SCORE_ADJ_MIN ||
	    process_text(pid, "statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%lu %lu", &size, &resident) != 2)
		return 0;
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void place(int pid, int score, struct oom_rank *rank)
{
	struct oom_process process = {.pid = pid, .score = score};

	rank->candidates++;
	if (rank->score > 0 && score > rank->score)
		rank->place++;
	if (score > rank->first.score) {
		rank->second = rank->first;
		rank->first = process;
	} else if (score > rank->second.score) {
		rank->second = process;
	}
}

static void count(int self, int pid, struct oom_rank *rank)
{
	uint64_t bytes;
	int score;

	if (read_int(pid, "oom_score", &score))
		return;
	if (score > 0) {
		place(pid, score, rank);
		return;
	}
	bytes = pid == self ? 0 : exempt_bytes(pid);
	if (bytes > rank->exempt.rss_bytes)
		rank->exempt = (struct oom_process){.pid = pid, .rss_bytes = bytes};
}

static void name(struct oom_process *process)
{
	if (process->pid)
		process_line(process->pid, "comm", process->comm, sizeof(process->comm));
}

static int panics(void)
{
	uint64_t value;

	return file_number("/proc/sys/vm/panic_on_oom", &value) ? -1 : (int)value;
}

int oom_rank_read(int pid, struct oom_rank *rank)
{
	struct dirent *entry;
	uint64_t other;
	DIR *proc;
	int error;

	*rank = (struct oom_rank){0};
	error = read_int(pid, "oom_score", &rank->score);
	if (!error)
		error = read_int(pid, "oom_score_adj", &rank->score_adj);
	if (error)
		return error;
	proc = opendir("/proc");
	if (!proc)
		return -errno;
	rank->panics = panics();
	rank->place = rank->score > 0;
	while ((entry = readdir(proc)))
		if (!units_parse_count(entry->d_name, &other) && other <= INT_MAX)
			count(pid, (int)other, rank);
	closedir(proc);
	name(&rank->first);
	name(&rank->second);
	name(&rank->exempt);
	return 0;
}
