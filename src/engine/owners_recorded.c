#include "engine/owners_recorded.h"

#include "base/clock.h"
#include "recording/recording.h"
#include "source/span.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTION = SPAN_FILE + 128 };

struct lookup {
	const struct owners_recorded_request *request;
	struct time_span span;
	struct recording *recording;
	const struct recorded_life *life; /* whose OWNERS are; null: nobody's yet */
	struct owners *owners, *other;
};

static bool is_wished(const struct lookup *lookup, const struct recorded_life *life)
{
	const struct pid_list *pids = lookup->request->pids;
	const struct name_list *names = lookup->request->names;

	for (size_t i = 0; i < pids->count; i++)
		if (pids->pid[i] == life->pid)
			return true;
	for (size_t i = 0; i < names->count; i++)
		if (!strcmp(names->name[i], life->service))
			return true;
	return !pids->count && !names->count;
}

static int several(const struct lookup *lookup, const struct recorded_life *other,
		   struct fault *fault)
{
	return fault_set(fault, EXIT_USAGE, -EINVAL,
			 "recording '%s' has owners of several programs, %s and %s among "
			 "them: choose one with -p or -n",
			 lookup->span.file, lookup->life->service, other->service);
}

/* The latest look in the span, of whichever life of one program it is. */
static int look_up(struct lookup *lookup, const struct recorded_life *life,
		   struct fault *fault)
{
	int64_t end_ns = lookup->span.to_ns;
	struct owners *found = lookup->other;
	int result =
		recording_owners(lookup->recording, life->life,
				 end_ns == INT64_MAX ? end_ns : end_ns - 1, found, fault);

	if (result != RECORDING_READ)
		return result < 0 ? result : 0;
	if (found->time_ns < lookup->span.from_ns)
		return 0;
	if (lookup->life && strcmp(lookup->life->service, life->service) != 0)
		return several(lookup, life, fault);
	if (lookup->life && found->time_ns < lookup->owners->time_ns)
		return 0;
	lookup->other = lookup->owners;
	lookup->owners = found;
	lookup->life = life;
	return 0;
}

static int resolve(struct lookup *lookup, struct fault *fault)
{
	unsigned lives = recording_lives(lookup->recording);

	lookup->span.from_ns = INT64_MIN;
	lookup->span.to_ns = INT64_MAX;
	if (!lives || !lookup->span.text)
		return 0;
	return span_resolve(&lookup->span, recording_life(lookup->recording, 0)->first_ns,
			    fault);
}

static int find(struct lookup *lookup, struct fault *fault)
{
	int error = resolve(lookup, fault);

	for (unsigned i = 0; !error && i < recording_lives(lookup->recording); i++) {
		const struct recorded_life *life = recording_life(lookup->recording, i);

		if (is_wished(lookup, life))
			error = look_up(lookup, life, fault);
	}
	if (error || lookup->life)
		return error;
	return fault_set(fault, EXIT_FAILED, -ENODATA,
			 "recording '%s' has no owners of such a process at that time: "
			 "'record --owners 1h' keeps them",
			 lookup->span.file);
}

static int write_found(const struct lookup *lookup, struct fault *fault)
{
	char buf[DESCRIPTION];
	struct text text;
	struct owners_about about = {
		.pid = lookup->life->pid,
		.comm = lookup->life->service,
		.describe = buf,
		.time_ns = lookup->owners->time_ns,
		.top = lookup->request->top,
	};
	int error;

	text_init(&text, buf, sizeof(buf));
	text_string(&text, "recording '");
	text_string(&text, lookup->span.file);
	text_string(&text, "', looked at ");
	clock_rfc3339(&text, lookup->owners->time_ns);
	error = owners_write(lookup->owners, &about, lookup->request->format,
			     STDOUT_FILENO);
	return error ? fault_set(fault, EXIT_FAILED, error,
				 "cannot write to standard output: %s", strerror(-error))
		     : 0;
}

int owners_recorded(const struct owners_recorded_request *request, struct fault *fault)
{
	struct lookup lookup = {.request = request};
	struct owners *room = calloc(2, sizeof(*room));
	int error;

	if (!room)
		return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
	lookup.owners = room;
	lookup.other = room + 1;
	error = span_split(request->recording, &lookup.span, fault);
	if (!error)
		error = recording_open(&lookup.recording, lookup.span.file, fault);
	if (!error)
		error = find(&lookup, fault);
	if (!error)
		error = write_found(&lookup, fault);
	recording_close(lookup.recording);
	free(room);
	return error;
}
