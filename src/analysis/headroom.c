#include "analysis/headroom.h"

#include "analysis/cause.h"

#include <math.h>

/* clang-format off */
const struct headroom_info headroom_info[HEADROOM_KINDS] = {
[HEADROOM_ADDRESS_SPACE] = {"rlimit_as", "address space (RLIMIT_AS)",
	"malloc returns NULL", false},
[HEADROOM_DATA] = {"rlimit_data", "data (RLIMIT_DATA)",
	"malloc returns NULL", false},
[HEADROOM_STACK] = {"rlimit_stack", "stack (RLIMIT_STACK)",
	"the process dies by SIGSEGV", false},
[HEADROOM_MAPPINGS] = {"max_map_count", "mappings (vm.max_map_count)",
	"malloc returns NULL", true},
[HEADROOM_COMMIT] = {"commit_limit", "promised memory (CommitLimit)",
	"malloc returns NULL", false},
[HEADROOM_CGROUP_MAX] = {"cgroup_max", "cgroup (memory.max)",
	"the kernel kills in the cgroup", false},
[HEADROOM_CGROUP_HIGH] = {"cgroup_high", "cgroup (memory.high)",
	"the kernel slows the cgroup down", false},
[HEADROOM_HOST] = {"host", "memory and swap of the host",
	"the kernel kills on the host", false},
};
/* clang-format on */

static void set(struct headroom *headroom, enum headroom_kind kind, uint64_t limit,
		uint64_t used)
{
	struct headroom_row *row = &headroom->row[kind];

	if (limit == UINT64_MAX)
		return;
	*row = (struct headroom_row){
		.is_set = true,
		.limit = limit,
		.used = used,
		.left = limit > used ? limit - used : 0,
	};
	row->left_share = limit ? (double)row->left / (double)limit : 0;
}

static void set_own(const struct bounds *bounds, struct headroom *headroom)
{
	const unsigned needed = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES;

	if ((bounds->has & needed) != needed)
		return;
	set(headroom, HEADROOM_ADDRESS_SPACE, bounds->rlimit.address_space_bytes,
	    bounds->total_vm_bytes);
	/* With a soft limit of 0 the kernel goes by the hard one, for programs such as
	 * valgrind. */
	if (bounds->rlimit.data_bytes)
		set(headroom, HEADROOM_DATA, bounds->rlimit.data_bytes,
		    bounds->data_vm_bytes);
	if (bounds->has & BOUNDS_HAS_STACK)
		set(headroom, HEADROOM_STACK, bounds->rlimit.stack_bytes,
		    bounds->stack_bytes);
}

static void set_host(const struct bounds *bounds, struct headroom *headroom)
{
	const struct limits *host = &bounds->host;
	const unsigned needed =
		LIMITS_HAS_OVERCOMMIT | LIMITS_HAS_MEMORY | LIMITS_HAS_RESERVES;
	uint64_t all, left;

	if (!(host->has & LIMITS_HAS_MEMORY))
		return;
	all = host->ram_bytes + host->swap_bytes;
	left = host->available_bytes + host->swap_free_bytes;
	set(headroom, HEADROOM_HOST, all, all > left ? all - left : 0);
	if ((host->has & needed) == needed && host->overcommit == OVERCOMMIT_NEVER)
		set(headroom, HEADROOM_COMMIT,
		    cause_commit_limit_bytes(host, bounds->total_vm_bytes),
		    host->committed_bytes);
}

/* The cache is taken back before the limit bites. */
static void set_cgroup(const struct cgroup_limit *limit, enum headroom_kind kind,
		       struct headroom *headroom)
{
	if (limit->is_set)
		set(headroom, kind, limit->limit_bytes,
		    limit->used_bytes - limit->cache_bytes);
}

static int find_nearest(const struct headroom *headroom)
{
	int nearest = -1;

	for (int i = 0; i < HEADROOM_KINDS; i++)
		if (headroom->row[i].is_set &&
		    (nearest < 0 ||
		     headroom->row[i].left_share < headroom->row[nearest].left_share))
			nearest = i;
	return nearest;
}

static uint64_t memory_bytes(const struct bounds *bounds)
{
	uint64_t host = 0, max = UINT64_MAX;

	if (bounds->host.has & LIMITS_HAS_MEMORY)
		host = bounds->host.ram_bytes;
	if (bounds->has & BOUNDS_HAS_CGROUP && bounds->cgroup.max.is_set)
		max = bounds->cgroup.max.limit_bytes;
	if (max == UINT64_MAX)
		return host;
	return !host || max < host ? max : host;
}

void headroom_of(const struct bounds *bounds, const struct figures *fig,
		 struct headroom *headroom)
{
	*headroom = (struct headroom){0};
	set_own(bounds, headroom);
	set_host(bounds, headroom);
	if (bounds->has & BOUNDS_HAS_CGROUP) {
		set_cgroup(&bounds->cgroup.max, HEADROOM_CGROUP_MAX, headroom);
		set_cgroup(&bounds->cgroup.high, HEADROOM_CGROUP_HIGH, headroom);
	}
	if (fig && figure_has(fig, FIG_MAPPINGS) &&
	    bounds->host.has & LIMITS_HAS_MAP_COUNT)
		set(headroom, HEADROOM_MAPPINGS, bounds->host.max_map_count,
		    fig->v[FIG_MAPPINGS].u);
	headroom->nearest = find_nearest(headroom);
	headroom->memory_bytes = memory_bytes(bounds);
}

void headroom_reach(const struct headroom_row *row, const struct headroom_rate *rate,
		    struct headroom_reach *reach)
{
	double left = (double)row->left;

	*reach = (struct headroom_reach){.when = HEADROOM_WHEN_UNKNOWN};
	if (!row->is_set)
		return;
	if (!row->left) {
		reach->when = HEADROOM_WHEN_REACHED;
		return;
	}
	if (!rate->is_known)
		return;
	reach->when = HEADROOM_WHEN_NEVER;
	if (!rate->is_rising || !(rate->per_s > 0))
		return;
	reach->when = HEADROOM_WHEN_IN;
	reach->in_s = left / rate->per_s;
	reach->earliest_s =
		rate->high_per_s > rate->per_s ? left / rate->high_per_s : reach->in_s;
	reach->latest_s = rate->low_per_s > 0 ? left / rate->low_per_s : INFINITY;
}
