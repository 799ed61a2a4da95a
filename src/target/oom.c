#include "target/oom.h"

#include "base/units.h"
#include "target/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

static void count(int pid, struct oom_rank *rank)
{
	int score;

	if (read_int(pid, "oom_score", &score) || score <= 0)
		return;
	rank->candidates++;
	if (rank->score > 0 && score > rank->score)
		rank->place++;
	if (score > rank->first_score) {
		rank->first_score = score;
		rank->first_pid = pid;
	}
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
	rank->place = rank->score > 0;
	while ((entry = readdir(proc)))
		if (!units_parse_count(entry->d_name, &other) && other <= INT_MAX)
			count((int)other, rank);
	closedir(proc);
	if (rank->first_pid)
		process_line(rank->first_pid, "comm", rank->first_comm,
			     sizeof(rank->first_comm));
	return 0;
}
