#include "analysis/explain.h"

#include "analysis/cause.h"
#include "base/machine.h"

#include <string.h>

enum {
	ARENA_BYTES = 2208, /* the largest struct malloc_state */
	NONCONTIGUOUS = 2,
	MIN_CHUNK = 32,
	SIZE_FIELD = 8, /* an mmapped chunk's mapping holds its header too, */
	TRAILER = 16,	/* and from 2.43 on a trailer */
};

/* enum probe_kind is in the order of enum event_kind. */
_Static_assert((int)PROBE_BRK == (int)EVENT_BRK, "kinds");
_Static_assert((int)PROBE_FALLBACK == (int)EVENT_FALLBACK, "kinds");
_Static_assert((int)PROBE_NEW_HEAP == (int)EVENT_NEW_HEAP, "kinds");
_Static_assert((int)PROBE_MPROTECT == (int)EVENT_MPROTECT, "kinds");
_Static_assert((int)PROBE_MMAP == (int)EVENT_MMAP, "kinds");
_Static_assert((int)PROBE_MREMAP == (int)EVENT_MREMAP, "kinds");
_Static_assert((int)PROBE_FAILURE == (int)EVENT_FAILURE, "kinds");
_Static_assert((int)PROBE_THRESHOLD == (int)EVENT_THRESHOLD, "kinds");

/* Before its first chunk an arena's top points into the arena itself. */
static bool has_no_top(const struct probe_event *raw)
{
	return raw->top >= raw->arena && raw->top < raw->arena + ARENA_BYTES;
}

static void set_arena(const struct probe_event *raw, struct event *event)
{
	if (!(raw->has & PROBE_HAS_ARENA))
		return;
	event->arena.addr = raw->arena;
	event->arena.system_bytes = raw->system_bytes;
	event->arena.top_bytes = has_no_top(raw) ? 0 : raw->top_bytes;
	event->has |= EVENT_HAS_ARENA;
	if (!(raw->has & PROBE_HAS_LARGEST))
		return;
	event->arena.largest_binned_bytes = raw->largest_bytes;
	event->has |= EVENT_HAS_LARGEST;
}

static void set_request(struct event *event, uint64_t asked, uint64_t old_top_bytes,
			uint64_t extra, uint64_t tolerance)
{
	if (asked + old_top_bytes < extra + MIN_CHUNK)
		return;
	event->request.bytes = asked + old_top_bytes - extra;
	event->request.tolerance_bytes = tolerance;
	if (tolerance > event->request.bytes - MIN_CHUNK)
		event->request.tolerance_bytes = event->request.bytes - MIN_CHUNK;
	event->has |= EVENT_HAS_REQUEST;
}

/* sysmalloc (2.27 to 2.44): brk is asked for the request, the least chunk and top_pad,
 * less the old top when the arena is contiguous, rounded up. Memory that somebody else
 * took at the break makes malloc ask a second time, for less: that call has no request.
 */
static void derive_brk(const struct probe_event *raw, uint64_t asked, struct event *event)
{
	unsigned needed = PROBE_HAS_ARENA | PROBE_HAS_PAR;
	uint64_t old_top_bytes = 0;

	if ((raw->has & needed) != needed)
		return;
	if (!(raw->arena_flags & NONCONTIGUOUS) && !has_no_top(raw)) {
		if (raw->top + raw->top_bytes != raw->old_brk)
			return;
		old_top_bytes = raw->top_bytes;
	}
	set_request(event, asked, old_top_bytes, raw->top_pad + MIN_CHUNK,
		    raw->granule - 1);
}

static void derive_heap(const struct probe_event *raw, struct event *event)
{
	if (raw->has & PROBE_HAS_ARENA && (int64_t)raw->length > 0)
		set_request(event, raw->length, raw->top_bytes, MIN_CHUNK,
			    raw->granule - 1);
}

static void derive_mapping(const struct probe_event *raw, struct event *event)
{
	set_request(event, raw->length, 0, SIZE_FIELD, raw->granule + TRAILER);
}

static void derive(const struct probe_event *raw, struct event *event)
{
	switch (raw->kind) {
	case PROBE_BRK:
		derive_brk(raw, raw->length, event);
		break;
	case PROBE_FALLBACK:
		derive_brk(raw, raw->brk_length, event);
		break;
	case PROBE_FAILURE: /* without an arena a mapping is all that is tried */
		if (raw->brk_length)
			derive_brk(raw, raw->brk_length, event);
		else
			derive_mapping(raw, event);
		break;
	case PROBE_MPROTECT:
		derive_heap(raw, event);
		break;
	case PROBE_MMAP:
	case PROBE_MREMAP:
		derive_mapping(raw, event);
		break;
	default: /* a new heap may be for the arena itself, and no request yet */
		break;
	}
}

static void set_cause(const struct probe_event *raw, const struct limits *limits,
		      struct event *event)
{
	const struct refusal refusal = {
		.asked_bytes = raw->length,
		.total_vm_bytes = raw->total_vm_pages * machine_page_bytes(),
		.data_vm_bytes = raw->data_vm_pages * machine_page_bytes(),
		.map_count = raw->map_count,
		.rlimit_as_bytes = raw->rlimit_as,
		.rlimit_data_bytes = raw->rlimit_data,
	};

	cause_of(&refusal, limits, &event->cause);
	event->has |= EVENT_HAS_CAUSE;
}

static void set_thresholds(const struct probe_event *raw, struct event *event)
{
	if (!(raw->has & PROBE_HAS_PAR))
		return;
	event->thresholds = (struct event_thresholds){
		.old_mmap_bytes = raw->old_mmap_threshold,
		.new_mmap_bytes = raw->mmap_threshold,
		.old_trim_bytes = raw->old_trim_threshold,
		.new_trim_bytes = raw->trim_threshold,
	};
	event->has |= EVENT_HAS_THRESHOLDS;
}

void explain_event(const struct probe_event *raw, const struct limits *limits,
		   int64_t clock_offset_ns, struct event *event)
{
	memset(event, 0, sizeof(*event));
	event->kind = (enum event_kind)raw->kind;
	event->time_ns = (int64_t)raw->time_ns + clock_offset_ns;
	event->pid = (int)raw->pid;
	event->tid = (int)raw->tid;
	memcpy(event->comm, raw->comm, sizeof(event->comm) - 1);
	event->bytes = raw->kind == PROBE_THRESHOLD ? raw->length : raw->bytes;
	event->has = EVENT_HAS_BYTES;
	set_arena(raw, event);
	derive(raw, event);
	if (raw->kind == PROBE_FAILURE)
		set_cause(raw, limits, event);
	if (raw->kind == PROBE_THRESHOLD)
		set_thresholds(raw, event);
}

static void set_kill_cause(const struct kill_event *raw, struct event_cause *cause)
{
	cause->kind = raw->cgroup_is_full ? CAUSE_CGROUP : CAUSE_HOST;
	cause->has_figures = raw->cgroup_is_full;
	cause->limit = raw->cgroup_max_pages * machine_page_bytes();
	cause->used = raw->cgroup_used_pages * machine_page_bytes();
}

void explain_kill(const struct kill_event *raw, int64_t clock_offset_ns,
		  struct event *event)
{
	memset(event, 0, sizeof(*event));
	event->kind = EVENT_KILL;
	event->time_ns = (int64_t)raw->time_ns + clock_offset_ns;
	event->pid = (int)raw->pid;
	event->tid = (int)raw->pid;
	memcpy(event->comm, raw->comm, sizeof(event->comm) - 1);
	event->victim = (struct event_victim){
		.pid = (int)raw->pid,
		.oom_score_adj = raw->oom_score_adj,
		.total_vm_bytes = raw->total_vm_pages * machine_page_bytes(),
		.anon_bytes = raw->anon_pages * machine_page_bytes(),
		.file_bytes = raw->file_pages * machine_page_bytes(),
		.shmem_bytes = raw->shmem_pages * machine_page_bytes(),
	};
	memcpy(event->victim.comm, raw->comm, sizeof(event->victim.comm) - 1);
	event->has = EVENT_HAS_VICTIM | EVENT_HAS_CAUSE;
	set_kill_cause(raw, &event->cause);
}
