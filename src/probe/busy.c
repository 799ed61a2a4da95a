#include "probe/busy.h"

#include "target/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void busy_look(struct busy *busy, int pid)
{
	char name[64], text[96];
	const struct dirent *entry;
	DIR *tasks;

	busy->threads = 0;
	snprintf(name, sizeof(name), "/proc/%d/task", pid);
	tasks = opendir(name);
	while (tasks && busy->threads < BUSY_THREADS && (entry = readdir(tasks))) {
		int tid = atoi(entry->d_name);
		uint64_t run_ns, wait_ns;

		snprintf(name, sizeof(name), "task/%d/schedstat", tid);
		if (!tid || process_text(pid, name, text, sizeof(text)) < 0 ||
		    sscanf(text, "%" SCNu64 " %" SCNu64, &run_ns, &wait_ns) != 2)
			continue;
		busy->thread[busy->threads].tid = tid;
		busy->thread[busy->threads].run_ns = run_ns;
		busy->thread[busy->threads++].wait_ns = wait_ns;
	}
	if (tasks)
		closedir(tasks);
}

/* Threads are listed in the order in which they began: what is missing has ended. */
struct busy_sum busy_since(const struct busy *before, const struct busy *after)
{
	struct busy_sum sum = {0};
	unsigned at = 0;

	for (unsigned i = 0; i < after->threads; i++) {
		uint64_t run_ns = after->thread[i].run_ns;
		unsigned from = at;

		while (from < before->threads &&
		       before->thread[from].tid != after->thread[i].tid)
			from++;
		if (from == before->threads || before->thread[from].run_ns >= run_ns)
			continue;
		at = from + 1;
		sum.run_ns += (double)(run_ns - before->thread[from].run_ns);
		sum.wait_ns +=
			(double)(after->thread[i].wait_ns - before->thread[from].wait_ns);
		sum.active++;
	}
	return sum;
}
