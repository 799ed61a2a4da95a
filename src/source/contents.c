#include "source/contents.h"

#include "base/text.h"
#include "source/replay.h"
#include "source/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)
#define STEP_NS	 (NS_PER_S / 10)

enum { COMM_LENGTH = 15, LISTED = 16 };

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

struct content *contents_find(const struct contents *contents, int pid)
{
	for (size_t i = 0; i < contents->count; i++)
		if (contents->process[i].pid == pid)
			return &contents->process[i];
	return NULL;
}

static struct content *add_process(struct contents *contents, int pid)
{
	struct content *more = reallocarray(contents->process, contents->count + 1,
					    sizeof(*contents->process));

	if (!more)
		return NULL;
	contents->process = more;
	more[contents->count] = (struct content){.pid = pid, .is_chosen = true};
	return &more[contents->count++];
}

int contents_add(struct contents *contents, const struct sample *sample)
{
	struct content *process = contents_find(contents, sample->pid);

	if (!process)
		process = add_process(contents, sample->pid);
	if (!process)
		return -ENOMEM;
	if (process->readings && contents->gaps < CONTENTS_GAPS &&
	    sample->time_ns > process->last_ns)
		contents->gap_ns[contents->gaps++] = sample->time_ns - process->last_ns;
	process->readings++;
	process->last_ns = sample->time_ns;
	if (sample->arena_count > process->arenas)
		process->arenas = sample->arena_count;
	memcpy(process->comm, sample->comm, sizeof(process->comm));
	if (!contents->readings++)
		contents->first_ns = sample->time_ns;
	contents->last_ns = sample->time_ns;
	return 0;
}

bool contents_can_read(const char *file)
{
	struct stat status;

	/* What cannot be opened is for who opens it. */
	return strcmp(file, "-") != 0 && (stat(file, &status) || S_ISREG(status.st_mode));
}

static int read_all(struct contents *contents, struct replay *replay,
		    const atomic_bool *stop, struct fault *fault)
{
	const struct sample *sample;
	int result;

	do {
		result = replay_next(replay, &sample, fault);
		if (result == SOURCE_READ && contents_add(contents, sample))
			return no_memory(fault);
	} while (!(stop && atomic_load(stop)) &&
		 (result == SOURCE_READ || result == -EINTR));
	return result < 0 && !contents->readings ? result : 0;
}

int contents_read(struct contents *contents, const char *file, const atomic_bool *stop,
		  struct fault *fault)
{
	struct replay *replay;
	int error = replay_open(&replay, file, fault);

	if (error)
		return error;
	contents->is_tail = replay_is_tail(replay);
	error = read_all(contents, replay, stop, fault);
	replay_close(replay);
	if (error || contents->readings || (stop && atomic_load(stop)))
		return error;
	return fault_set(fault, EXIT_FAILED, -ENODATA,
			 access(file, F_OK)
				 ? "%s: the file has no readings in that span"
				 : "%s has no rows: its header is all there is",
			 file);
}

void contents_free(struct contents *contents)
{
	free(contents->process);
	*contents = (struct contents){0};
}

/* ---- the choice ---- */

/* "4711 web (120 readings), 4712 db (60)", of the first LISTED. */
static void list(struct text *text, const struct contents *contents)
{
	for (size_t i = 0; i < contents->count && i < LISTED; i++) {
		const struct content *process = &contents->process[i];

		text_string(text, i ? ", " : "");
		text_i64(text, process->pid);
		text_char(text, ' ');
		text_string(text, process->comm);
		text_string(text, " (");
		text_u64(text, process->readings);
		text_string(text, process->readings == 1 ? " reading)" : " readings)");
	}
	if (contents->count > LISTED)
		text_string(text, ", ...");
}

/* As the kernel cuts names. */
static bool is_called(const struct content *process, const char *name)
{
	return !strncmp(process->comm, name, COMM_LENGTH);
}

/* Whether NAME or, if it is null, PID is there: it is chosen then. */
static bool choose(struct contents *contents, int pid, const char *name)
{
	bool found = false;

	for (size_t i = 0; i < contents->count; i++) {
		struct content *process = &contents->process[i];

		if (name ? !is_called(process, name) : process->pid != pid)
			continue;
		process->is_chosen = true;
		found = true;
	}
	return found;
}

static int is_missing(const struct contents *contents, const char *file, int pid,
		      const char *name, struct fault *fault)
{
	char buf[FAULT_TEXT / 2];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	list(&text, contents);
	if (name)
		return fault_set(fault, EXIT_FAILED, -ESRCH,
				 "%s has no rows of a process named '%s'; it has those "
				 "of %s",
				 file, name, buf);
	return fault_set(fault, EXIT_FAILED, -ESRCH,
			 "%s has no rows of process %d; it has those of %s", file, pid,
			 buf);
}

int contents_choose(struct contents *contents, const char *file, const int *pids,
		    size_t pid_count, char *const *names, size_t name_count,
		    struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; i < contents->count; i++)
		contents->process[i].is_chosen = !pid_count && !name_count;
	for (size_t i = 0; i < pid_count; i++)
		if (!choose(contents, pids[i], NULL) && !error)
			error = is_missing(contents, file, pids[i], NULL, fault);
	for (size_t i = 0; i < name_count; i++)
		if (!choose(contents, 0, names[i]) && !error)
			error = is_missing(contents, file, 0, names[i], fault);
	return error;
}

size_t contents_chosen(const struct contents *contents)
{
	size_t count = 0;

	for (size_t i = 0; i < contents->count; i++)
		count += contents->process[i].is_chosen;
	return count;
}

int contents_several(const struct contents *contents, const char *file, const char *how,
		     struct fault *fault)
{
	char buf[FAULT_TEXT / 2];
	struct text text;

	text_init(&text, buf, sizeof(buf));
	list(&text, contents);
	return fault_set(fault, EXIT_USAGE, -EINVAL,
			 "%s has rows of several processes: %s; %s", file, buf, how);
}

/* ---- the interval ---- */

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t contents_interval_ns(const struct contents *contents)
{
	int64_t gap_ns[CONTENTS_GAPS];

	if (!contents->gaps)
		return NS_PER_S;
	memcpy(gap_ns, contents->gap_ns, contents->gaps * sizeof(*gap_ns));
	qsort(gap_ns, contents->gaps, sizeof(*gap_ns), compare);
	return (gap_ns[contents->gaps / 2] + STEP_NS / 2) / STEP_NS * STEP_NS;
}
