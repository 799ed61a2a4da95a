#include "analysis/room.h"

#include "analysis/cause.h"

#include <math.h>

/* clang-format off */
const struct room_info room_info[ROOM_KINDS] = {
[ROOM_ADDRESS_SPACE] = {"rlimit_as", "address space (RLIMIT_AS)",
	"malloc returns NULL", false},
[ROOM_DATA] = {"rlimit_data", "data (RLIMIT_DATA)",
	"malloc returns NULL", false},
[ROOM_STACK] = {"rlimit_stack", "stack (RLIMIT_STACK)",
	"the process dies by SIGSEGV", false},
[ROOM_MAPPINGS] = {"max_map_count", "mappings (vm.max_map_count)",
	"malloc returns NULL", true},
[ROOM_COMMIT] = {"commit_limit", "promised memory (CommitLimit)",
	"malloc returns NULL", false},
[ROOM_CGROUP_MAX] = {"cgroup_max", "cgroup (memory.max)",
	"the kernel kills in the cgroup", false},
[ROOM_CGROUP_HIGH] = {"cgroup_high", "cgroup (memory.high)",
	"the kernel slows the cgroup down", false},
[ROOM_HOST] = {"host", "memory and swap of the host",
	"the kernel kills on the host", false},
};
/* clang-format on */

static void set(struct room *room, enum room_kind kind, uint64_t limit, uint64_t used)
{
	struct room_row *row = &room->row[kind];

	if (limit == UINT64_MAX)
		return;
	*row = (struct room_row){
		.is_set = true,
		.limit = limit,
		.used = used,
		.left = limit > used ? limit - used : 0,
	};
	row->left_share = limit ? (double)row->left / (double)limit : 0;
}

static void set_own(const struct bounds *bounds, struct room *room)
{
	const unsigned needed = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES;

	if ((bounds->has & needed) != needed)
		return;
	set(room, ROOM_ADDRESS_SPACE, bounds->rlimit.address_space_bytes,
	    bounds->total_vm_bytes);
	/* With a soft limit of 0 the kernel goes by the hard one, for programs such as
	 * valgrind. */
	if (bounds->rlimit.data_bytes)
		set(room, ROOM_DATA, bounds->rlimit.data_bytes, bounds->data_vm_bytes);
	set(room, ROOM_STACK, bounds->rlimit.stack_bytes, bounds->stack_vm_bytes);
}

static void set_host(const struct bounds *bounds, struct room *room)
{
	const struct limits *host = &bounds->host;
	const unsigned needed =
		LIMITS_HAS_OVERCOMMIT | LIMITS_HAS_MEMORY | LIMITS_HAS_RESERVES;
	uint64_t all, left;

	if (!(host->has & LIMITS_HAS_MEMORY))
		return;
	all = host->ram_bytes + host->swap_bytes;
	left = host->available_bytes + host->swap_free_bytes;
	set(room, ROOM_HOST, all, all > left ? all - left : 0);
	if ((host->has & needed) == needed && host->overcommit == OVERCOMMIT_NEVER)
		set(room, ROOM_COMMIT,
		    cause_commit_limit_bytes(host, bounds->total_vm_bytes),
		    host->committed_bytes);
}

/* The cache is taken back before the limit bites. */
static void set_cgroup(const struct cgroup_limit *limit, enum room_kind kind,
		       struct room *room)
{
	if (limit->is_set)
		set(room, kind, limit->limit_bytes,
		    limit->used_bytes - limit->cache_bytes);
}

static int find_nearest(const struct room *room)
{
	int nearest = -1;

	for (int i = 0; i < ROOM_KINDS; i++)
		if (room->row[i].is_set &&
		    (nearest < 0 ||
		     room->row[i].left_share < room->row[nearest].left_share))
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

void room_of(const struct bounds *bounds, const struct figures *fig, struct room *room)
{
	*room = (struct room){0};
	set_own(bounds, room);
	set_host(bounds, room);
	if (bounds->has & BOUNDS_HAS_CGROUP) {
		set_cgroup(&bounds->cgroup.max, ROOM_CGROUP_MAX, room);
		set_cgroup(&bounds->cgroup.high, ROOM_CGROUP_HIGH, room);
	}
	if (fig && figure_has(fig, FIG_MAPPINGS) &&
	    bounds->host.has & LIMITS_HAS_MAP_COUNT)
		set(room, ROOM_MAPPINGS, bounds->host.max_map_count,
		    fig->v[FIG_MAPPINGS].u);
	room->nearest = find_nearest(room);
	room->memory_bytes = memory_bytes(bounds);
}

void room_reach(const struct room_row *row, const struct room_rate *rate,
		struct room_reach *reach)
{
	double left = (double)row->left;

	*reach = (struct room_reach){.when = ROOM_WHEN_UNKNOWN};
	if (!row->is_set)
		return;
	if (!row->left) {
		reach->when = ROOM_WHEN_REACHED;
		return;
	}
	if (!rate->is_known)
		return;
	reach->when = ROOM_WHEN_NEVER;
	if (!rate->is_rising || !(rate->per_s > 0))
		return;
	reach->when = ROOM_WHEN_IN;
	reach->in_s = left / rate->per_s;
	reach->earliest_s =
		rate->high_per_s > rate->per_s ? left / rate->high_per_s : reach->in_s;
	reach->latest_s = rate->low_per_s > 0 ? left / rate->low_per_s : INFINITY;
}
