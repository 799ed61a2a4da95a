/* report_oom.c: what a report says of the kernel's OOM killer. */
#include "view/report_parts.h"

#include <linux/oom.h>
#include <stdio.h>

enum { NAMED = 5 * OOM_COMM };

/* "process 12 (name)"; names may hold anything. */
static const char *named(const char *word, const struct oom_process *process,
			 char text[NAMED])
{
	struct text to;

	text_init(&to, text, NAMED);
	text_string(&to, word);
	text_u64(&to, (uint64_t)process->pid);
	text_string(&to, " (");
	text_printable(&to, process->comm, SIZE_MAX);
	text_char(&to, ')');
	return text;
}

/* Who is killed in the place of a process that is exempt. */
static void say_exempt(const struct oom_rank *rank, char *line)
{
	char first[NAMED], second[NAMED];

	if (rank->first.pid)
		snprintf(line, REPORT_OOM_LINE,
			 "Exempt from the OOM killer (oom_score_adj is %d): when the "
			 "host is out of memory, the kernel kills %s first%s.",
			 rank->score_adj, named("process ", &rank->first, first),
			 rank->second.pid
				 ? named(", then process ", &rank->second, second)
				 : "");
	else
		snprintf(line, REPORT_OOM_LINE,
			 "Exempt from the OOM killer (oom_score_adj is %d), and there is "
			 "nobody else: the kernel panics.",
			 rank->score_adj);
}

static void say_place(const struct oom_rank *rank, char *line)
{
	char first[NAMED], adjusted[48] = "";

	if (rank->score_adj)
		snprintf(adjusted, sizeof(adjusted), " (oom_score_adj is %d)",
			 rank->score_adj);
	if (rank->place == 1)
		snprintf(line, REPORT_OOM_LINE, "1st of %s for the OOM killer%s.",
			 COUNTED(rank->candidates, "candidate"), adjusted);
	else
		snprintf(line, REPORT_OOM_LINE,
			 "%s of %s for the OOM killer%s; the first is %s.",
			 units_ordinal_text(rank->place).s,
			 COUNTED(rank->candidates, "candidate"), adjusted,
			 named("process ", &rank->first, first));
}

/* Then the order of candidates decides nothing: it is of the host. 2 is for cgroups too.
 */
static void say_panic(const struct oom_rank *rank, char *line)
{
	if (rank->panics == 1)
		snprintf(line, REPORT_OOM_LINE,
			 "When the host is out of memory the kernel panics and "
			 "kills nobody (vm.panic_on_oom is 1); when only a cgroup "
			 "is, it kills there.");
	else
		snprintf(line, REPORT_OOM_LINE,
			 "When the host or a cgroup is out of memory the kernel panics "
			 "and kills nobody (vm.panic_on_oom is %d).",
			 rank->panics);
}

/* A neighbour that takes memory for which others are killed. */
static void say_neighbour(const struct oom_rank *rank, char *line)
{
	char name[NAMED];

	snprintf(line, REPORT_OOM_LINE,
		 "%s is exempt and has %s resident: others are killed in its place.",
		 named("Process ", &rank->exempt, name), BYTES(rank->exempt.rss_bytes));
}

bool report_oom(const struct report *report, unsigned i, char line[REPORT_OOM_LINE])
{
	const struct oom_rank *rank = report->oom;
	bool exempt, neighbour;

	if (!rank)
		return false;
	if (rank->panics > 0) {
		say_panic(rank, line);
		return i == 0;
	}
	exempt = !rank->place && rank->score_adj == OOM_SCORE_ADJ_MIN;
	/* Where it has a twentieth of all. */
	neighbour = rank->exempt.pid &&
		    rank->exempt.rss_bytes >= report->headroom->memory_bytes / 20;
	if (i == 0 && rank->place)
		say_place(rank, line);
	else if (i == 0 && exempt)
		say_exempt(rank, line);
	else if (i == 0)
		snprintf(line, REPORT_OOM_LINE,
			 "Too small to be chosen by the OOM killer.");
	else if (i == 1 && exempt)
		snprintf(line, REPORT_OOM_LINE,
			 "-> What can grow should not be exempt: write 0 to its "
			 "oom_score_adj, and give it a cgroup with a limit of its own "
			 "(memory.max), so that what is killed is in that group.");
	else if (i == 1U + exempt && neighbour)
		say_neighbour(rank, line);
	else
		return false;
	return true;
}
