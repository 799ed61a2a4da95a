#include "engine/stream.h"

#include "base/alloc_touched.h"
#include "base/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_NS INT64_C(1000000000)

/* A process that was just started has no heap yet: it is asked again so often before
 * anyone is told why not. */
enum { PATIENCE = 10 };

/* Targets are allocated one by one: a pointer to one is valid until the end. */
struct stream {
	struct stream_options options;
	struct stream_target **target;
	size_t count;
	size_t next;	   /* the one to be read, of running processes */
	uint64_t rounds;   /* that are over */
	int64_t due_ns;	   /* of the round */
	int64_t search_ns; /* when to look for processes again */
	int refused_pid;   /* could not be opened, and so often */
	unsigned refusals;
	/* Of a recording. */
	struct source *source;
	struct sample *sample; /* the last one that was handed out */
	struct sample *next_sample;
	struct contents contents;
	bool was_looked_through;
	struct stream_target *ended; /* its last sample was handed out */
};

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

static struct stream_target *add_target(struct stream *stream, const char *name, int pid)
{
	struct stream_target *target = alloc_touched(sizeof(*target));
	struct stream_target **more;

	if (!target)
		return NULL;
	more = reallocarray(stream->target, stream->count + 1,
			    sizeof(struct stream_target *));
	if (!more) {
		free(target);
		return NULL;
	}
	stream->target = more;
	more[stream->count++] = target;
	target->name = name;
	target->pid = pid;
	return target;
}

static struct stream_target *find_target(const struct stream *stream, int pid)
{
	for (size_t i = 0; i < stream->count; i++)
		if (stream->target[i]->pid == pid)
			return stream->target[i];
	return NULL;
}

/* ---- running processes ---- */

static int open_target(const struct stream *stream, struct stream_target *target, int pid,
		       struct fault *fault)
{
	int error = source_open(&target->source, pid, &stream->options.source, fault);

	if (error) {
		target->source = NULL;
		return error;
	}
	target->sample = source_sample(target->source);
	if (!target->sample) {
		source_close(target->source);
		target->source = NULL;
		return no_memory(fault);
	}
	target->pid = pid;
	target->readings = 0;
	return 0;
}

/* The sample stays until another takes its place: who is told of an end reads it. */
static void close_target(struct stream_target *target)
{
	source_close(target->source);
	target->source = NULL;
}

static int add_process(struct stream *stream, const char *name, int pid)
{
	if (pid && find_target(stream, pid))
		return 0;
	return add_target(stream, name, pid) ? 0 : -ENOMEM;
}

/* The processes of NAME; where there are none, one place that waits. */
static int add_named(struct stream *stream, const char *name, struct fault *fault)
{
	struct pid_list pids = {NULL, 0};
	int error = targets_named(name, &pids, fault);

	if (error == -ESRCH && stream->options.follow) {
		frontend_message(stream->options.frontend,
				 "no process is named '%s' yet: waiting for one", name);
		error = add_process(stream, name, 0);
	}
	for (size_t i = 0; !error && i < pids.count; i++)
		error = add_process(stream, name, pids.pid[i]);
	free(pids.pid);
	return error == -ENOMEM ? no_memory(fault) : error;
}

static int add_processes(struct stream *stream, struct fault *fault)
{
	const struct stream_options *options = &stream->options;
	int error = 0;

	for (size_t i = 0; !error && i < options->pids.count; i++)
		error = add_process(stream, NULL, options->pids.pid[i]);
	if (error)
		return no_memory(fault);
	for (size_t i = 0; !error && i < options->names.count; i++)
		error = add_named(stream, options->names.name[i], fault);
	return error;
}

static size_t alive(const struct stream *stream)
{
	size_t count = 0;

	for (size_t i = 0; i < stream->count; i++)
		count += stream->target[i]->source != NULL;
	return count;
}

/* TARGET, the one at INDEX, was not there any more. */
static void drop_target(struct stream *stream, size_t index)
{
	free(stream->target[index]);
	stream->count--;
	memmove(&stream->target[index], &stream->target[index + 1],
		(stream->count - index) * sizeof(struct stream_target *));
}

static int open_processes(struct stream *stream, struct fault *fault)
{
	bool follow = stream->options.follow;
	int error = add_processes(stream, fault);

	for (size_t i = 0; !error && i < stream->count;) {
		struct stream_target *target = stream->target[i];

		if (target->pid)
			error = open_target(stream, target, target->pid, fault);
		if (error == -ESRCH && target->name && (follow || stream->count > 1)) {
			error = 0;
			if (!follow) {
				drop_target(stream, i);
				continue;
			}
		}
		i++;
	}
	stream->due_ns = clock_monotonic_ns();
	return error;
}

/* A process that cannot be read at first may have no heap yet: why not is told when it
 * stays so. */
static void refuse(struct stream *stream, int pid, const struct fault *fault)
{
	stream->refusals = pid == stream->refused_pid ? stream->refusals + 1 : 1;
	stream->refused_pid = pid;
	if (stream->refusals == PATIENCE)
		frontend_message(stream->options.frontend, "%s", fault->text);
}

static bool is_read(const struct stream *stream, int pid)
{
	for (size_t i = 0; i < stream->count; i++)
		if (stream->target[i]->source && stream->target[i]->pid == pid)
			return true;
	return false;
}

static void search_for(struct stream *stream, struct stream_target *target)
{
	const struct frontend *frontend = stream->options.frontend;
	struct pid_list pids = {NULL, 0};
	struct fault fault;

	if (targets_named(target->name, &pids, &fault))
		pids.count = 0;
	for (size_t i = 0; i < pids.count && !target->source; i++) {
		struct sample *old = target->sample;
		int pid = pids.pid[i], before = target->pid;

		if (is_read(stream, pid))
			continue;
		if (open_target(stream, target, pid, &fault)) {
			target->sample = old;
			refuse(stream, pid, &fault);
			continue;
		}
		sample_free(old);
		if (before)
			frontend_message(frontend,
					 "process %d (%s) takes the place of %d", pid,
					 target->name, before);
		else
			frontend_message(frontend, "process %d (%s) is watched", pid,
					 target->name);
	}
	free(pids.pid);
}

static void search(struct stream *stream)
{
	int64_t now_ns = clock_monotonic_ns();

	if (!stream->options.follow || now_ns < stream->search_ns)
		return;
	stream->search_ns = now_ns + SEARCH_NS;
	for (size_t i = 0; i < stream->count; i++)
		if (stream->target[i]->name && !stream->target[i]->source)
			search_for(stream, stream->target[i]);
}

static int end_round(struct stream *stream)
{
	int64_t interval_ns = stream->options.interval_ns, late_ns;

	stream->next = 0;
	if (++stream->rounds == stream->options.count ||
	    (!alive(stream) && !stream->options.follow))
		return STREAM_OVER;
	late_ns = clock_monotonic_ns() - stream->due_ns;
	if (interval_ns)
		stream->due_ns += (late_ns / interval_ns + 1) * interval_ns;
	return STREAM_ROUND;
}

/* What RESULT of a reading comes to. A target that ends or fails is left out from then
 * on. */
static int news_of(struct stream *stream, struct stream_target *target, int result)
{
	if (result == SOURCE_READ) {
		target->readings++;
		return STREAM_SAMPLE;
	}
	if (result == SOURCE_UNREADABLE)
		return STREAM_UNREADABLE;
	close_target(target);
	stream->search_ns = 0;
	return result == SOURCE_ENDED ? STREAM_ENDED : STREAM_FAILED;
}

static int next_reading(struct stream *stream, struct stream_target **target,
			struct fault *fault)
{
	if (!stream->next)
		search(stream);
	while (stream->next < stream->count &&
	       !frontend_stops(stream->options.frontend)) {
		struct stream_target *next = stream->target[stream->next++];
		int result;

		if (!next->source)
			continue;
		result = source_read(next->source, next->sample, fault);
		if (result == SOURCE_NOTHING_NEW)
			continue;
		*target = next;
		return news_of(stream, next, result);
	}
	return frontend_stops(stream->options.frontend) ? STREAM_OVER : end_round(stream);
}

/* ---- recordings ---- */

static int choose(struct stream *stream, struct fault *fault)
{
	const struct stream_options *options = &stream->options;

	return contents_choose(&stream->contents, options->recording, options->pids.pid,
			       options->pids.count, options->names.name,
			       options->names.count, fault);
}

/* The first look: whose samples there are, and how many of each. */
static int look_through(struct stream *stream, struct fault *fault)
{
	const struct contents *contents = &stream->contents;
	int error = contents_read(&stream->contents, stream->options.recording,
				  frontend_stop_flag(stream->options.frontend), fault);

	if (!error && contents->is_tail)
		frontend_message(
			stream->options.frontend,
			"%s has no header: its columns are taken to be those that "
			"this version writes",
			stream->options.recording);
	if (!error)
		error = choose(stream, fault);
	for (size_t i = 0; !error && i < contents->count; i++) {
		struct stream_target *target;

		if (!contents->process[i].is_chosen)
			continue;
		target = add_target(stream, NULL, contents->process[i].pid);
		if (!target)
			return no_memory(fault);
		target->left = contents->process[i].readings;
	}
	stream->was_looked_through = !error;
	return error;
}

static int open_recording(struct stream *stream, struct fault *fault)
{
	const char *file = stream->options.recording;
	const struct source_options wanted = {.recording = file};
	int error = 0;

	if (contents_can_read(file))
		error = look_through(stream, fault);
	else if (stream->options.twice)
		error = fault_set(fault, EXIT_USAGE, -ESPIPE,
				  "--replay reads its file twice: %s is no regular file",
				  file);
	if (!error)
		error = source_open(&stream->source, 0, &wanted, fault);
	if (error)
		return error;
	stream->sample = source_sample(stream->source);
	stream->next_sample = source_sample(stream->source);
	return stream->sample && stream->next_sample ? 0 : no_memory(fault);
}

/* Of a file that is read once: the target that SAMPLE is of, if it is chosen. 0 or
 * -ENOMEM. */
static int meet(struct stream *stream, const struct sample *sample,
		struct stream_target **target)
{
	bool is_new = !contents_find(&stream->contents, sample->pid);
	int error = contents_add(&stream->contents, sample);

	if (error)
		return error;
	/* That one of them is not there is known at the end only. */
	(void)choose(stream, NULL);
	if (is_new && contents_find(&stream->contents, sample->pid)->is_chosen &&
	    !add_target(stream, NULL, sample->pid))
		return -ENOMEM;
	*target = find_target(stream, sample->pid);
	return 0;
}

/* The target that SAMPLE is of; null: it is not chosen, or the file grew meanwhile. */
static int target_of(struct stream *stream, const struct sample *sample,
		     struct stream_target **target)
{
	*target = NULL;
	if (!stream->was_looked_through)
		return meet(stream, sample, target);
	*target = find_target(stream, sample->pid);
	if (!*target || !(*target)->left)
		*target = NULL;
	else if (!--(*target)->left)
		stream->ended = *target;
	return 0;
}

/* The file's end, or what is wrong in it: STREAM_OVER or -errno and FAULT. */
static int end_recording(struct stream *stream, int result, struct fault *fault)
{
	if (result < 0 && (result != -EINTR || !frontend_stops(stream->options.frontend)))
		return result;
	if (result != SOURCE_ENDED || stream->was_looked_through)
		return STREAM_OVER;
	if (!stream->contents.readings)
		return fault_set(fault, EXIT_FAILED, -ENODATA,
				 "%s has no rows: its header is all there is",
				 stream->options.recording);
	return choose(stream, fault) ? -ESRCH : STREAM_OVER;
}

/* What is read behind the last sample of those that are chosen does not take its place.
 */
static int hand_out(struct stream *stream, struct stream_target *target)
{
	struct sample *last = stream->sample;

	target->sample = stream->sample = stream->next_sample;
	stream->next_sample = last;
	target->readings++;
	return STREAM_SAMPLE;
}

static int next_recorded(struct stream *stream, struct stream_target **target,
			 struct fault *fault)
{
	int result;

	if (stream->ended) {
		*target = stream->ended;
		stream->ended = NULL;
		fault->text[0] = '\0';
		return STREAM_ENDED;
	}
	do {
		if (frontend_stops(stream->options.frontend))
			return STREAM_OVER;
		result = source_read(stream->source, stream->next_sample, fault);
		if (result == -EINTR)
			continue;
		if (result != SOURCE_READ)
			return end_recording(stream, result, fault);
		if (target_of(stream, stream->next_sample, target))
			return no_memory(fault);
	} while (result == -EINTR || !*target);
	return hand_out(stream, *target);
}

/* ---- both ---- */

int stream_open(struct stream **stream, const struct stream_options *options,
		struct fault *fault)
{
	struct stream *new = alloc_touched(sizeof(*new));
	int error;

	if (!new)
		return no_memory(fault);
	new->options = *options;
	error = options->recording ? open_recording(new, fault)
				   : open_processes(new, fault);
	if (error)
		stream_close(new);
	else
		*stream = new;
	return error;
}

void stream_close(struct stream *stream)
{
	if (!stream)
		return;
	for (size_t i = 0; i < stream->count; i++) {
		source_close(stream->target[i]->source);
		if (!stream->options.recording)
			sample_free(stream->target[i]->sample);
		free(stream->target[i]);
	}
	free(stream->target);
	source_close(stream->source);
	sample_free(stream->sample);
	sample_free(stream->next_sample);
	contents_free(&stream->contents);
	free(stream);
}

int stream_next(struct stream *stream, struct stream_target **target, struct fault *fault)
{
	return stream->options.recording ? next_recorded(stream, target, fault)
					 : next_reading(stream, target, fault);
}

int64_t stream_due_ns(const struct stream *stream)
{
	return stream->due_ns;
}

/* The stop signals are blocked between the test whether an end is asked for and the wait,
 * so that none is lost. */
void stream_wait(const struct stream *stream)
{
	const struct frontend *frontend = stream->options.frontend;
	sigset_t stops, reading;

	sigemptyset(&stops);
	sigaddset(&stops, SIGINT);
	sigaddset(&stops, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stops, &reading);
	if (!frontend_stops(frontend))
		clock_wait_until(stream->due_ns, &frontend->waiting);
	pthread_sigmask(SIG_SETMASK, &reading, NULL);
}

size_t stream_targets(const struct stream *stream)
{
	return stream->count;
}

struct stream_target *stream_target(const struct stream *stream, size_t index)
{
	return stream->target[index];
}

bool stream_is_recorded(const struct stream *stream)
{
	return stream->options.recording;
}

/* Of a recording that is read once, what may come is not known. */
bool stream_is_several(const struct stream *stream)
{
	const struct stream_options *options = &stream->options;

	if (!options->recording || stream->was_looked_through)
		return stream->count > 1;
	return options->pids.count != 1 || options->names.count;
}

int64_t stream_interval_ns(const struct stream *stream)
{
	return stream->options.recording ? contents_interval_ns(&stream->contents)
					 : stream->options.interval_ns;
}

const struct contents *stream_contents(const struct stream *stream)
{
	return &stream->contents;
}

const char *stream_describe(const struct stream *stream,
			    const struct stream_target *target)
{
	return source_describe(stream->source ? stream->source : target->source);
}
