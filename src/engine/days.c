#include "engine/days.h"

#include "base/alloc_touched.h"
#include "base/units.h"
#include "engine/event_stack.h"
#include "recording/recording.h"
#include "sample/event.h"
#include "source/contents.h"
#include "source/span.h"
#include "view/callers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define MINUTE_NS (60 * SECOND_NS)
#define HOUR_NS	  (60 * MINUTE_NS)

enum {
	TAIL_READINGS = 64, /* from which arenas and interval are known */
	LINE = 256,
	DETAIL = 4096,
};

/* A process: all of its lives have its PID. */
struct days_target {
	int pid;
	char name[SAMPLE_TEXT];
	int64_t end_ns;
};

struct days {
	struct recording *recording;
	struct time_span span;
	int64_t first_ns, last_ns, interval_ns;
	unsigned arenas, count;
	struct days_target *target;
	/* What days_events gives. */
	struct event_stack stack;
	char line[LINE], detail[DETAIL];
};

bool days_can_open(const char *what)
{
	struct time_span span;
	struct fault fault;

	return !span_split(what, &span, &fault) && recording_is_database(span.file);
}

/* ---- opening ---- */

static int no_memory(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOMEM, "out of memory");
}

/* The processes and the time are those of the lives: no sample is read for that. */
static int take_lives(struct contents *contents, struct days *days)
{
	int error = 0;

	days->first_ns = INT64_MAX;
	for (unsigned i = 0; !error && i < recording_lives(days->recording); i++) {
		const struct recorded_life *life = recording_life(days->recording, i);
		struct sample sample = {.pid = life->pid, .time_ns = life->first_ns};

		snprintf(sample.comm, sizeof(sample.comm), "%s", life->service);
		error = contents_add(contents, &sample);
		if (life->first_ns < days->first_ns)
			days->first_ns = life->first_ns;
	}
	return error;
}

static int64_t end_of(const struct days *days, int pid)
{
	int64_t end_ns = INT64_MIN;

	for (unsigned i = 0; i < recording_lives(days->recording); i++) {
		const struct recorded_life *life = recording_life(days->recording, i);
		/* Of one without an end it may be later than it says. */
		int64_t last_ns = life->end ? life->last_ns : days->last_ns;

		if (life->pid == pid && last_ns > end_ns)
			end_ns = last_ns;
	}
	return end_ns;
}

static int take_targets(struct days *days, const struct contents *contents)
{
	days->target = calloc(contents->count + 1, sizeof(*days->target));
	if (!days->target)
		return -ENOMEM;
	for (size_t i = 0; i < contents->count; i++) {
		const struct content *process = &contents->process[i];
		struct days_target *target = &days->target[days->count];

		if (!process->is_chosen)
			continue;
		target->pid = process->pid;
		memcpy(target->name, process->comm, sizeof(target->name));
		target->end_ns = end_of(days, process->pid);
		days->count++;
	}
	return 0;
}

/* What is to be said of a choice that cannot be made needs the number of readings: they
 * are counted for that. */
static int refuse(const char *what, const struct pid_list *pids,
		  const struct name_list *names, struct fault *fault)
{
	struct contents contents = {0};
	int error = contents_read(&contents, what, NULL, fault);

	if (!error)
		error = contents_choose(&contents, what, pids->pid, pids->count,
					names->name, names->count, fault);
	if (!error)
		error = contents_several(&contents, what,
					 "no more than 16 can be shown at once: choose "
					 "with -p or -n",
					 fault);
	contents_free(&contents);
	return error;
}

static int choose(struct days *days, const char *what, const struct pid_list *pids,
		  const struct name_list *names, unsigned most, struct fault *fault)
{
	struct contents contents = {0};
	int error = take_lives(&contents, days);
	bool good;

	if (error) {
		contents_free(&contents);
		return no_memory(fault);
	}
	good = contents.count &&
	       !contents_choose(&contents, what, pids->pid, pids->count, names->name,
				names->count, fault) &&
	       contents_chosen(&contents) <= most;
	error = good ? take_targets(days, &contents) : refuse(what, pids, names, fault);
	contents_free(&contents);
	return error == -ENOMEM ? no_memory(fault) : error;
}

/* The end is looked at: there the seconds are. */
static int look_at_end(struct days *days, struct fault *fault)
{
	struct contents contents = {0};
	const struct sample *sample;
	unsigned life, seen = 0;
	int result = recording_seek(days->recording, days->last_ns - MINUTE_NS, fault);

	while (!result && seen++ < TAIL_READINGS) {
		result = recording_next(days->recording, &sample, &life, fault);
		if (!result && sample->arena_count > days->arenas)
			days->arenas = sample->arena_count;
		if (!result && contents_add(&contents, sample))
			result = no_memory(fault);
	}
	days->interval_ns = contents_interval_ns(&contents);
	contents_free(&contents);
	return result < 0 ? result : 0;
}

static int take_span(struct days *days, struct fault *fault)
{
	int error = span_resolve(&days->span, days->first_ns, fault);

	if (error)
		return error;
	if (days->span.from_ns > days->first_ns)
		days->first_ns = days->span.from_ns;
	if (days->span.to_ns <= days->last_ns)
		days->last_ns = days->span.to_ns - 1;
	if (days->first_ns > days->last_ns)
		return fault_set(fault, EXIT_FAILED, -ENODATA,
				 "%s: the file has no readings in that span",
				 days->span.file);
	return 0;
}

static int set_up(struct days *days, const char *what, const struct pid_list *pids,
		  const struct name_list *names, unsigned most, struct fault *fault)
{
	int error = span_split(what, &days->span, fault);

	if (!error)
		error = recording_open(&days->recording, days->span.file, fault);
	/* What cannot be opened as a recording is no source. */
	if (error && fault->status == EXIT_FAILED)
		fault->status = EXIT_NO_SOURCE;
	if (!error)
		error = recording_last(days->recording, &days->last_ns, fault);
	if (!error)
		error = choose(days, what, pids, names, most, fault);
	if (!error)
		error = look_at_end(days, fault);
	if (!error)
		error = take_span(days, fault);
	return error ? error : days_seek(days, days->first_ns, fault);
}

int days_open(struct days **days, const char *what, const struct pid_list *pids,
	      const struct name_list *names, unsigned most, struct fault *fault)
{
	struct days *new = alloc_touched(sizeof(*new));
	int error = new ? set_up(new, what, pids, names, most, fault) : no_memory(fault);

	if (error)
		days_close(new);
	else
		*days = new;
	return error;
}

void days_close(struct days *days)
{
	if (!days)
		return;
	recording_close(days->recording);
	free(days->target);
	free(days);
}

unsigned days_targets(const struct days *days)
{
	return days->count;
}

int days_pid(const struct days *days, unsigned target)
{
	return days->target[target].pid;
}

const char *days_name(const struct days *days, unsigned target)
{
	return days->target[target].name;
}

int64_t days_end_ns(const struct days *days, unsigned target)
{
	return days->target[target].end_ns;
}

unsigned days_arenas(const struct days *days)
{
	return days->arenas;
}

int64_t days_interval_ns(const struct days *days)
{
	return days->interval_ns;
}

int64_t days_first_ns(const struct days *days)
{
	return days->first_ns;
}

int64_t days_last_ns(const struct days *days)
{
	return days->last_ns;
}

static int is_one(const struct recorded_event *event, void *context)
{
	(void)event;
	(void)context;
	return 1;
}

bool days_has_events(struct days *days)
{
	struct fault fault;

	return recording_events(days->recording, INT64_MIN, INT64_MAX, 0, is_one, NULL,
				&fault) == 1;
}

uint64_t days_rows(const struct days *days)
{
	return recording_rows(days->recording);
}

/* ---- samples ---- */

static bool find(const struct days *days, int pid, unsigned *target)
{
	for (*target = 0; *target < days->count; ++*target)
		if (days->target[*target].pid == pid)
			return true;
	return false;
}

int days_seek(struct days *days, int64_t from_ns, struct fault *fault)
{
	return recording_seek(days->recording, from_ns, fault);
}

int days_next(struct days *days, struct days_sample *next, struct fault *fault)
{
	const struct recorded_span *span;
	unsigned life;
	int result;

	do {
		result = recording_next(days->recording, &next->sample, &life, fault);
		if (result)
			return result < 0 ? result : DAYS_END;
		if (next->sample->time_ns > days->last_ns)
			return DAYS_END;
	} while (!find(days, next->sample->pid, &next->target));
	span = recording_span(days->recording);
	next->low = span ? &span->low : NULL;
	next->high = span ? &span->high : NULL;
	next->mean = span ? span->mean : NULL;
	return 0;
}

/* Gives all up to TO_NS to TAKE; *BEHIND_NS is where the last one ends. */
static int give(struct days *days, int64_t to_ns, int64_t each_ns, int64_t *behind_ns,
		days_sample_fn *take, void *context, struct fault *fault)
{
	struct days_sample next;
	int result;

	while (!(result = days_next(days, &next, fault)) &&
	       next.sample->time_ns <= to_ns) {
		if (next.sample->time_ns + each_ns > *behind_ns)
			*behind_ns = next.sample->time_ns + each_ns;
		result = take(&next, context);
		if (result)
			return result;
	}
	return result < 0 ? result : 0;
}

static int64_t floor_to(int64_t ns, int64_t each_ns)
{
	return ns > 0 ? ns - ns % each_ns : ns;
}

int days_load(struct days *days, int64_t from_ns, int64_t to_ns, days_sample_fn *take,
	      void *context, struct fault *fault)
{
	/* The longest span that each is for: so many points at most. */
	static const struct {
		unsigned seconds;
		int64_t above_ns;
	} tier[] = {{3600, 26 * HOUR_NS}, {60, 20 * MINUTE_NS}};
	int64_t at_ns = from_ns, span_ns = to_ns - from_ns;
	int error = 0;

	for (unsigned i = 0; i < 2 && !error; i++) {
		int64_t each_ns = tier[i].seconds * SECOND_NS;

		if (span_ns <= tier[i].above_ns)
			continue;
		/* The one that FROM_NS is in, and none that goes on behind TO_NS. */
		at_ns = floor_to(at_ns, each_ns);
		error = recording_seek_spans(days->recording, tier[i].seconds, at_ns,
					     to_ns - each_ns + 1, fault);
		if (!error)
			error = give(days, to_ns, each_ns, &at_ns, take, context, fault);
	}
	if (!error)
		error = days_seek(days, floor_to(at_ns, MINUTE_NS), fault);
	if (!error)
		error = give(days, to_ns, 0, &at_ns, take, context, fault);
	return error ? error : days_seek(days, to_ns + 1, fault);
}

/* ---- events ---- */

struct giving {
	struct days *days;
	days_event_fn *take;
	void *context;
};

/* The stack as people look for the caller: a function a line, the innermost first. */
static void write_detail(struct days *days, const char *json)
{
	const char *stack = event_stack_read(&days->stack, json);
	struct text text;

	text_init(&text, days->detail, sizeof(days->detail));
	if (!stack || *stack == '[')
		return;
	for (const char *end = stack + strlen(stack); end > stack;) {
		const char *from = end;

		while (from > stack && from[-1] != ';')
			from--;
		text_bytes(&text, from, (size_t)(end - from));
		text_char(&text, '\n');
		end = from > stack ? from - 1 : from;
	}
}

static void write_line(struct days *days, const struct recorded_event *event)
{
	bool is_alert = !strncmp(event->kind, "alert", strlen("alert"));
	char rule[64], message[LINE];
	struct text text;

	text_init(&text, days->line, sizeof(days->line));
	*days->detail = '\0';
	if (!is_alert) {
		text_string(&text, event->kind);
		text_char(&text, ' ');
		if (event->bytes)
			units_bytes(&text, event->bytes);
		write_detail(days, event->json);
		return;
	}
	event_text_read(event->json, "rule", rule, sizeof(rule));
	event_text_read(event->json, "message", message, sizeof(message));
	text_string(&text, rule);
	text_string(&text, event->kind[strlen("alert")] ? " ends: " : " begins: ");
	text_string(&text, message);
}

static int give_event(const struct recorded_event *event, void *context)
{
	struct giving *giving = context;
	struct days_event given = {
		.time_ns = event->time_ns,
		.kind = event->kind,
		.bytes = event->bytes,
		.line = giving->days->line,
		.detail = giving->days->detail,
	};

	if (!find(giving->days, event->life->pid, &given.target))
		return 0;
	write_line(giving->days, event);
	return giving->take(&given, giving->context);
}

int days_events(struct days *days, int64_t from_ns, int64_t to_ns, unsigned most,
		days_event_fn *take, void *context, struct fault *fault)
{
	struct giving giving = {days, take, context};

	return recording_events(days->recording, from_ns, to_ns, most, give_event,
				&giving, fault);
}

/* ---- maps ---- */

_Static_assert((int)DAYS_CELLS == (int)RECORDING_CELLS, "a recorded map has room");

int days_map(struct days *days, unsigned target, int64_t at_ns, struct heap_map *map,
	     struct fault *fault)
{
	int result = RECORDING_END;

	for (unsigned i = recording_lives(days->recording); i-- && result;) {
		const struct recorded_life *life = recording_life(days->recording, i);

		if (life->pid != days->target[target].pid || life->first_ns > at_ns)
			continue;
		result = recording_map(days->recording, life->life, at_ns, map, fault);
		if (result < 0)
			return result;
	}
	return result ? DAYS_END : 0;
}
