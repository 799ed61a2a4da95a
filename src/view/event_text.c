/* event_text.c: events for people: one line that says it, and below what is known. */
#include "base/clock.h"
#include "base/units.h"
#include "view/events.h"

#include <string.h>

enum { NS_PER_MS = 1000000, COMM_CHARACTERS = 15, PC_WIDTH = 14 };

static const char indent[] = "    ";

/* LABEL, then BYTES for people. */
static void labelled(struct text *text, const char *label, uint64_t bytes)
{
	text_string(text, label);
	units_bytes(text, bytes);
}

/* "14:03:12.123 io_thd_1[4711/4713] "; the thread only where it is not the first. */
static void head(struct text *text, const struct event *event)
{
	clock_local(text, event->time_ns);
	text_char(text, '.');
	text_digits(text, (uint64_t)event->time_ns / NS_PER_MS % 1000, 3);
	text_char(text, ' ');
	text_printable(text, event->comm, COMM_CHARACTERS);
	text_char(text, '[');
	text_i64(text, event->pid);
	if (event->tid != event->pid) {
		text_char(text, '/');
		text_i64(text, event->tid);
	}
	text_string(text, "] ");
}

/* A range whose ends read alike is told as one. */
static void request_range(struct text *text, const struct event_request *request)
{
	char low[8], high[8];
	struct text from, to;

	text_init(&from, low, sizeof(low));
	text_init(&to, high, sizeof(high));
	units_bytes(&from, request->bytes - request->tolerance_bytes);
	units_bytes(&to, request->bytes);
	text_string(text, low);
	if (from.length == to.length && !memcmp(low, high, to.length))
		return;
	text_string(text, " to ");
	text_string(text, high);
}

static void request(struct text *text, const struct event *event)
{
	if (!(event->has & EVENT_HAS_REQUEST))
		return;
	text_string(text, " for a request of ");
	request_range(text, &event->request);
	text_string(text, event->request.exact ? " (exact)" : " (derived)");
}

static void not_malloc(struct text *text, const struct event *event)
{
	if (event->has & EVENT_HAS_STACK && event->not_malloc)
		text_string(text, ", not malloc's");
}

/* ---- causes ---- */

static const char *const cause_titles[CAUSE_KINDS] = {
	[CAUSE_UNKNOWN] = "of unknown cause",
	[CAUSE_RLIMIT_AS] = "RLIMIT_AS",
	[CAUSE_RLIMIT_DATA] = "RLIMIT_DATA",
	[CAUSE_OVERCOMMIT] = "overcommit",
	[CAUSE_MAP_COUNT] = "vm.max_map_count",
	[CAUSE_CGROUP] = "memory cgroup",
	[CAUSE_HOST] = "the host had no memory left",
	[CAUSE_ABSURD] = "no address space is that large",
};

static void cause_figure(struct text *text, const struct event_cause *cause,
			 const char *label, uint64_t value)
{
	text_string(text, label);
	if (cause->kind == CAUSE_MAP_COUNT)
		text_u64(text, value);
	else
		units_bytes(text, value);
}

/* A use of 0 is that of a check that does not ask what is in use; nobody asks for 0. */
static void cause(struct text *text, const struct event *event)
{
	const struct event_cause *cause = &event->cause;

	if (!(event->has & EVENT_HAS_CAUSE))
		return;
	text_string(text, ": ");
	text_string(text, cause_titles[cause->kind]);
	if (!cause->has_figures)
		return;
	cause_figure(text, cause, ": limit ", cause->limit);
	if (cause->used)
		cause_figure(text, cause, ", used ", cause->used);
	if (cause->asked)
		cause_figure(text, cause, ", asked ", cause->asked);
}

/* ---- the first line, by kind ---- */

static void grown(struct text *text, const struct event *event)
{
	static const char *const words[EVENT_KINDS] = {
		[EVENT_BRK] = "brk",	       [EVENT_FALLBACK] = "brk refused, mmap",
		[EVENT_NEW_HEAP] = "new heap", [EVENT_MPROTECT] = "mprotect",
		[EVENT_MMAP] = "mmap",	       [EVENT_MREMAP] = "mremap",
	};

	text_string(text, words[event->kind]);
	if (event->has & EVENT_HAS_BYTES)
		labelled(text, " +", event->bytes);
	request(text, event);
	not_malloc(text, event);
}

static void failed(struct text *text, const struct event *event)
{
	text_string(text, "FAILED: malloc got nothing");
	if (event->has & EVENT_HAS_REQUEST)
		request(text, event);
	else if (event->has & EVENT_HAS_BYTES)
		labelled(text, " for ", event->bytes);
	not_malloc(text, event);
	cause(text, event);
}

static void raised(struct text *text, const struct event *event)
{
	const struct event_thresholds *to = &event->thresholds;

	if (event->has & EVENT_HAS_THRESHOLDS) {
		labelled(text, "mmap threshold ", to->old_mmap_bytes);
		labelled(text, " -> ", to->new_mmap_bytes);
		labelled(text, ", trim threshold ", to->old_trim_bytes);
		labelled(text, " -> ", to->new_trim_bytes);
	} else {
		text_string(text, "mmap and trim thresholds");
	}
	text_string(text, ", raised by this free");
	if (event->has & EVENT_HAS_BYTES)
		labelled(text, " of ", event->bytes);
}

static void killed(struct text *text, const struct event *event)
{
	const struct event_victim *victim = &event->victim;

	text_string(text, "KILLED by the kernel's OOM killer");
	cause(text, event);
	if (!(event->has & EVENT_HAS_VICTIM))
		return;
	text_string(text, "; oom_score_adj ");
	text_i64(text, victim->oom_score_adj);
	labelled(text, ", held anon ", victim->anon_bytes);
	labelled(text, ", file ", victim->file_bytes);
	labelled(text, ", shmem ", victim->shmem_bytes);
	labelled(text, " of ", victim->total_vm_bytes);
	text_string(text, " mapped");
}

static void what(struct text *text, const struct event *event)
{
	switch (event->kind) {
	case EVENT_FAILURE:
		failed(text, event);
		break;
	case EVENT_THRESHOLD:
		raised(text, event);
		break;
	case EVENT_KILL:
		killed(text, event);
		break;
	default:
		grown(text, event);
		break;
	}
	text_char(text, '\n');
}

/* ---- the lines below ---- */

static void arena(struct text *text, const struct event *event)
{
	const struct event_arena *arena = &event->arena;

	if (!(event->has & EVENT_HAS_ARENA))
		return;
	text_string(text, indent);
	text_string(text, "arena ");
	text_hex(text, arena->addr);
	labelled(text, ": top ", arena->top_bytes);
	labelled(text, ", system ", arena->system_bytes);
	if (event->has & EVENT_HAS_LARGEST) {
		if (arena->largest_binned_bytes)
			labelled(text, ", largest binned chunk ",
				 arena->largest_binned_bytes);
		else
			text_string(text, ", bins empty");
	}
	text_char(text, '\n');
}

static void last_reading(struct text *text, const struct event *event)
{
	const struct event_reading *reading = &event->reading;

	if (!(event->has & EVENT_HAS_READING))
		return;
	text_string(text, indent);
	text_string(text, "at ");
	clock_local(text, reading->time_ns);
	labelled(text, " (last reading): ", reading->free_bytes);
	text_string(text, " free in ");
	text_u64(text, reading->free_chunks);
	labelled(text, " chunks, largest ", reading->largest_free_bytes);
	labelled(text, "; resident ", reading->rss_bytes);
	text_char(text, '\n');
}

static void place(struct text *text, const struct frame *frame)
{
	if (frame->function)
		events_name(text, frame->function);
	else if (frame->module)
		events_name(text, frame->module);
	else
		text_string(text, "in no file");
	if (!frame->function && !frame->module)
		return;
	text_char(text, '+');
	text_hex(text, frame->offset);
	if (!frame->function || !frame->module)
		return;
	text_string(text, " in ");
	events_name(text, frame->module);
}

static void numbered(struct text *text, const struct frame *frame, unsigned number)
{
	size_t from;

	text_string(text, indent);
	from = text->length;
	text_char(text, '#');
	text_u64(text, number);
	text_align_left(text, from, 5);
	from = text->length;
	text_hex(text, frame->pc);
	text_align_left(text, from, PC_WIDTH);
	text_char(text, ' ');
	place(text, frame);
	text_char(text, '\n');
}

/* Where main should be. The copy of a stack may end too early, the code may lack what
 * tells its caller, or it may be in no file at all; of the first two none is ruled out.
 */
static void missing(struct text *text, const struct event *event)
{
	const struct frame *last = &event->frame[event->frame_count - 1];

	text_string(text, indent);
	text_string(text, "...  ");
	if (event->frame_count == EVENT_FRAMES)
		text_string(text, "more frames than are shown");
	else if (!last->module)
		text_string(text, "code that is in no file does not show who called it");
	else
		text_string(text, "the rest was not copied (--stack-bytes 64K takes "
				  "more), or this code does not show who called it");
	text_char(text, '\n');
}

static void stack(struct text *text, const struct event *event)
{
	if (!(event->has & EVENT_HAS_STACK) || !event->frame_count)
		return;
	if (!event->stack_whole)
		missing(text, event);
	for (unsigned i = events_frames(event); i-- > 0;)
		numbered(text, &event->frame[i], i);
}

void events_text(struct text *text, const struct event *event)
{
	head(text, event);
	what(text, event);
	arena(text, event);
	last_reading(text, event);
	stack(text, event);
}
