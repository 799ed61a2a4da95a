#include "analysis/cause.h"

/* Linux 6: do_mmap and mmap_region, do_brk_flags; may_expand_vm; __vm_enough_memory. */

static bool exceeds(uint64_t used, uint64_t asked, uint64_t limit)
{
	uint64_t sum;

	return __builtin_add_overflow(used, asked, &sum) || sum > limit;
}

/* Tells KIND with its figures if they show it. */
static bool tell(struct event_cause *cause, enum cause_kind kind, uint64_t limit,
		 uint64_t used, uint64_t asked)
{
	if (!exceeds(used, asked, limit))
		return false;
	*cause = (struct event_cause){
		.kind = kind,
		.has_figures = true,
		.limit = limit,
		.used = used,
		.asked = asked,
	};
	return true;
}

/* The kernel looks for this after the number of mappings. It is told first: no limit that
 * could be raised would have let it pass. */
static bool is_absurd(const struct refusal *refusal, const struct limits *limits,
		      struct event_cause *cause)
{
	(void)limits;
	return tell(cause, CAUSE_ABSURD, LIMITS_TASK_BYTES, refusal->total_vm_bytes,
		    refusal->asked_bytes);
}

/* One mapping more than the limit is still granted. */
static bool is_map_count(const struct refusal *refusal, const struct limits *limits,
			 struct event_cause *cause)
{
	return limits->has & LIMITS_HAS_MAP_COUNT &&
	       refusal->map_count > limits->max_map_count &&
	       tell(cause, CAUSE_MAP_COUNT, limits->max_map_count, refusal->map_count, 1);
}

/* The kernel cuts the limits to whole pages: with sizes of whole pages that is the same.
 */
static bool is_rlimit_as(const struct refusal *refusal, const struct limits *limits,
			 struct event_cause *cause)
{
	(void)limits;
	return tell(cause, CAUSE_RLIMIT_AS, refusal->rlimit_as_bytes,
		    refusal->total_vm_bytes, refusal->asked_bytes);
}

/* With a soft limit of 0 the kernel goes by the hard one, which is not known here. */
static bool is_rlimit_data(const struct refusal *refusal, const struct limits *limits,
			   struct event_cause *cause)
{
	(void)limits;
	return refusal->rlimit_data_bytes &&
	       tell(cause, CAUSE_RLIMIT_DATA, refusal->rlimit_data_bytes,
		    refusal->data_vm_bytes, refusal->asked_bytes);
}

/* Only this request counts, whatever is in use. */
static bool is_more_than_memory(const struct refusal *refusal,
				const struct limits *limits, struct event_cause *cause)
{
	return limits->has & LIMITS_HAS_MEMORY &&
	       tell(cause, CAUSE_OVERCOMMIT, limits->ram_bytes + limits->swap_bytes, 0,
		    refusal->asked_bytes);
}

uint64_t cause_commit_limit_bytes(const struct limits *limits, uint64_t total_vm_bytes)
{
	uint64_t kept = total_vm_bytes / 32;

	if (kept > limits->user_reserve_bytes)
		kept = limits->user_reserve_bytes;
	kept += limits->admin_reserve_bytes;
	return limits->commit_limit_bytes > kept ? limits->commit_limit_bytes - kept : 0;
}

/* What is promised may have been given back since, often by this very process, which ends
 * for want of memory. Where all other limits are known to the byte, this one it was. */
static bool is_more_than_promised(const struct refusal *refusal,
				  const struct limits *limits, struct event_cause *cause)
{
	const unsigned needed = LIMITS_HAS_MEMORY | LIMITS_HAS_RESERVES;

	if ((limits->has & needed) == needed &&
	    tell(cause, CAUSE_OVERCOMMIT,
		 cause_commit_limit_bytes(limits, refusal->total_vm_bytes),
		 limits->committed_bytes, refusal->asked_bytes))
		return true;
	if (!(limits->has & LIMITS_HAS_MAP_COUNT) || !refusal->rlimit_data_bytes)
		return false;
	cause->kind = CAUSE_OVERCOMMIT;
	return true;
}

static bool is_overcommit(const struct refusal *refusal, const struct limits *limits,
			  struct event_cause *cause)
{
	if (!(limits->has & LIMITS_HAS_OVERCOMMIT))
		return false;
	if (limits->overcommit == OVERCOMMIT_GUESS)
		return is_more_than_memory(refusal, limits, cause);
	return limits->overcommit == OVERCOMMIT_NEVER &&
	       is_more_than_promised(refusal, limits, cause);
}

typedef bool check_fn(const struct refusal *refusal, const struct limits *limits,
		      struct event_cause *cause);

enum { CHECKS = 5 };

static check_fn *const of_mmap[CHECKS] = {is_absurd, is_map_count, is_rlimit_as,
					  is_rlimit_data, is_overcommit};
static check_fn *const of_brk[CHECKS] = {is_absurd, is_rlimit_as, is_rlimit_data,
					 is_map_count, is_overcommit};

void cause_of(const struct refusal *refusal, const struct limits *limits,
	      struct event_cause *cause)
{
	check_fn *const *checks = refusal->is_brk ? of_brk : of_mmap;

	*cause = (struct event_cause){.kind = CAUSE_UNKNOWN};
	for (unsigned i = 0; i < CHECKS; i++)
		if (checks[i](refusal, limits, cause))
			return;
}
