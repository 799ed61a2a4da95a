/* event_json.c: one object an event (RFC 8259). */
#include "base/clock.h"
#include "view/events.h"
#include "view/json_text.h"

#include <string.h>

static void member_time(struct text *text, int64_t time_ns)
{
	json_key(text, "time", strlen("time"));
	text_char(text, '"');
	clock_rfc3339(text, time_ns);
	text_char(text, '"');
}

static void identity(struct text *text, const struct event *event)
{
	member_time(text, event->time_ns);
	json_member_i64(text, "pid", event->pid);
	json_member_i64(text, "tid", event->tid);
	json_member_string(text, "comm", event->comm);
	json_member_string(text, "kind", event_kind_name(event->kind));
}

static void bytes(struct text *text, const struct event *event)
{
	json_member_u64(text, "bytes", event->bytes);
}

static void request(struct text *text, const struct event *event)
{
	const struct event_request *request = &event->request;

	json_member_object(text, "request");
	json_member_u64(text, "bytes", request->bytes);
	json_member_u64(text, "tolerance_bytes", request->tolerance_bytes);
	json_member_string(text, "how", request->exact ? "exact" : "derived");
	text_char(text, '}');
}

static void arena(struct text *text, const struct event *event)
{
	const struct event_arena *arena = &event->arena;

	json_member_object(text, "arena");
	json_member_addr(text, "addr", arena->addr);
	json_member_u64(text, "system_bytes", arena->system_bytes);
	json_member_u64(text, "top_bytes", arena->top_bytes);
	if (event->has & EVENT_HAS_LARGEST)
		json_member_u64(text, "largest_binned_bytes",
				arena->largest_binned_bytes);
	text_char(text, '}');
}

static void thresholds(struct text *text, const struct event *event)
{
	const struct event_thresholds *thresholds = &event->thresholds;

	json_member_object(text, "thresholds");
	json_member_u64(text, "old_mmap_bytes", thresholds->old_mmap_bytes);
	json_member_u64(text, "new_mmap_bytes", thresholds->new_mmap_bytes);
	json_member_u64(text, "old_trim_bytes", thresholds->old_trim_bytes);
	json_member_u64(text, "new_trim_bytes", thresholds->new_trim_bytes);
	text_char(text, '}');
}

/* What was asked for when a process was killed is not known: nobody asks for 0. */
static void cause(struct text *text, const struct event *event)
{
	const struct event_cause *cause = &event->cause;

	json_member_object(text, "cause");
	json_member_string(text, "kind", cause_kind_name(cause->kind));
	if (cause->has_figures) {
		json_member_u64(text, "limit", cause->limit);
		json_member_u64(text, "used", cause->used);
		if (cause->asked)
			json_member_u64(text, "asked", cause->asked);
	}
	text_char(text, '}');
}

static void victim(struct text *text, const struct event *event)
{
	const struct event_victim *victim = &event->victim;

	json_member_object(text, "victim");
	json_member_i64(text, "pid", victim->pid);
	json_member_string(text, "comm", victim->comm);
	json_member_i64(text, "oom_score_adj", victim->oom_score_adj);
	json_member_u64(text, "total_vm_bytes", victim->total_vm_bytes);
	json_member_u64(text, "anon_bytes", victim->anon_bytes);
	json_member_u64(text, "file_bytes", victim->file_bytes);
	json_member_u64(text, "shmem_bytes", victim->shmem_bytes);
	text_char(text, '}');
}

static void last_reading(struct text *text, const struct event *event)
{
	const struct event_reading *reading = &event->reading;

	json_member_object(text, "last_reading");
	member_time(text, reading->time_ns);
	json_member_u64(text, "rss_bytes", reading->rss_bytes);
	json_member_u64(text, "free_bytes", reading->free_bytes);
	json_member_u64(text, "free_chunks", reading->free_chunks);
	json_member_u64(text, "largest_free_bytes", reading->largest_free_bytes);
	text_char(text, '}');
}

static void member_name(struct text *text, const char *key, const char *name)
{
	json_key(text, key, strlen(key));
	json_string_cut(text, name, EVENT_NAME_BYTES);
}

static void frame(struct text *text, const struct frame *frame)
{
	json_element(text);
	if (frame->function)
		member_name(text, "function", frame->function);
	if (frame->function || frame->module)
		json_member_u64(text, "offset", frame->offset);
	if (frame->module)
		member_name(text, "module", frame->module);
	json_member_addr(text, "pc", frame->pc);
	text_char(text, '}');
}

static void stack(struct text *text, const struct event *event)
{
	json_key(text, "stack", strlen("stack"));
	text_char(text, '[');
	for (unsigned i = event->frame_count; i-- > 0;)
		frame(text, &event->frame[i]);
	text_char(text, ']');
	json_member_bool(text, "stack_whole", event->stack_whole);
	json_member_bool(text, "not_malloc", event->not_malloc);
}

void events_json(struct text *text, const struct event *event)
{
	static const struct {
		enum event_part part;
		void (*write)(struct text *text, const struct event *event);
	} parts[] = {
		{EVENT_HAS_BYTES, bytes},	   {EVENT_HAS_REQUEST, request},
		{EVENT_HAS_ARENA, arena},	   {EVENT_HAS_THRESHOLDS, thresholds},
		{EVENT_HAS_CAUSE, cause},	   {EVENT_HAS_VICTIM, victim},
		{EVENT_HAS_READING, last_reading}, {EVENT_HAS_STACK, stack},
	};

	text_char(text, '{');
	identity(text, event);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (event->has & parts[i].part)
			parts[i].write(text, event);
	text_string(text, "}\n");
}
