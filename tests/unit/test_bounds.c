/* test_bounds.c: what bounds a process's memory, out of the texts of /proc and of trees
 * as both versions of cgroups lay them, and of a real process with limits set. */
#include "target/bounds.h"
#include "target/cgroup.h"
#include "target/huge.h"
#include "target/limits.h"
#include "target/oom.h"
#include "target/pressure.h"
#include "target/smaps.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define M (UINT64_C(1) << 20)

static char root[64];
static struct cgroup_mounts mounts;

static void put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/'));
	     *slash++ = '/') {
		*slash = '\0';
		assert_true(!mkdir(full, 0755) || errno == EEXIST);
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int make_root(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/fragscope-bounds-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	memset(&mounts, 0, sizeof(mounts));
	strcpy(mounts.memory.point, root);
	strcpy(mounts.memory.root, "/");
	mounts.unified = mounts.memory;
	return 0;
}

static int remove_root(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command);
}

static int parse(const char *text, struct cgroup_memory *memory)
{
	char copy[512];

	snprintf(copy, sizeof(copy), "%s", text);
	return cgroup_memory_parse(copy, &mounts, memory);
}

/* ---- /proc ---- */

static void rlimits(void **state)
{
	static const char text[] = "Limit                     Soft Limit           Hard "
				   "Limit           Units\n"
				   "Max data size             1048576              "
				   "unlimited            bytes\n"
				   "Max stack size            8388608              "
				   "unlimited            bytes\n"
				   "Max address space         unlimited            "
				   "unlimited            bytes\n";
	struct rlimits rlimit;

	(void)state;
	assert_int_equal(bounds_parse_rlimits(text, &rlimit), 0);
	assert_true(rlimit.address_space_bytes == UINT64_MAX);
	assert_int_equal(rlimit.data_bytes, M);
	assert_int_equal(rlimit.stack_bytes, 8 * M);
	assert_int_equal(bounds_parse_rlimits("Max data size 1 1 bytes\n", &rlimit),
			 -EPROTO);
	assert_int_equal(bounds_parse_rlimits("", &rlimit), -EPROTO);
}

static void sizes(void **state)
{
	struct bounds bounds;

	(void)state;
	assert_int_equal(bounds_parse_sizes("Name:\tVmSize: x\nVmPeak:\t 9 kB\n"
					    "VmSize:\t  2048 kB\nVmData:\t 1024 kB\n"
					    "VmStk:\t  132 kB\n",
					    &bounds),
			 0);
	assert_int_equal(bounds.total_vm_bytes, 2 * M);
	assert_int_equal(bounds.data_vm_bytes, M);
	assert_int_equal(bounds.stack_vm_bytes, 132 << 10);
	/* A zombie has none. */
	assert_int_equal(bounds_parse_sizes("Name:\tx\nThreads:\t1\n", &bounds), -EPROTO);
}

static void stack_pointer(void **state)
{
	uint64_t address;

	(void)state;
	assert_int_equal(bounds_parse_stack_pointer("230 0x1 0x0 0x7f 0x7f 0x0 0x0 "
						    "0x7ffd12345678 0x7f0000000001\n",
						    &address),
			 0);
	assert_true(address == UINT64_C(0x7ffd12345678));
	/* Not in a system call. */
	assert_int_equal(
		bounds_parse_stack_pointer("-1 0x7ffd00000010 0x7f01\n", &address), 0);
	assert_true(address == UINT64_C(0x7ffd00000010));
	assert_int_equal(bounds_parse_stack_pointer("running\n", &address), -EAGAIN);
	assert_int_equal(bounds_parse_stack_pointer("", &address), -EPROTO);
	assert_int_equal(bounds_parse_stack_pointer("0x1 0x2\n", &address), -EPROTO);
	assert_int_equal(bounds_parse_stack_pointer("230 0x", &address), -EPROTO);
}

static void memory_of_the_host(void **state)
{
	static const char text[] = "MemTotal:       4096 kB\nMemFree: 1 kB\n"
				   "MemAvailable:   1024 kB\nSwapCached:  0 kB\n"
				   "SwapTotal:      2048 kB\nSwapFree:    512 kB\n"
				   "CommitLimit:    3072 kB\nCommitted_AS:  256 kB\n";
	struct limits limits;

	(void)state;
	assert_int_equal(limits_parse_memory(text, &limits), 0);
	assert_int_equal(limits.ram_bytes, 4096 << 10);
	assert_int_equal(limits.available_bytes, 1024 << 10);
	assert_int_equal(limits.swap_bytes, 2048 << 10);
	assert_int_equal(limits.swap_free_bytes, 512 << 10);
	assert_int_equal(limits.commit_limit_bytes, 3072 << 10);
	assert_int_equal(limits.committed_bytes, 256 << 10);
	assert_int_equal(limits_parse_memory("MemTotal: 1 kB\n", &limits), -EPROTO);
}

static void pressure_text(void **state)
{
	struct pressure pressure;

	(void)state;
	assert_int_equal(
		pressure_parse("some avg10=12.34 avg60=5.00 avg300=0.10 total=99\n"
			       "full avg10=1.05 avg60=0.00 avg300=0.00 total=9\n",
			       &pressure),
		0);
	assert_true(pressure.some_10s > 12.339 && pressure.some_10s < 12.341);
	assert_true(pressure.some_60s == 5.0);
	assert_true(pressure.full_10s > 1.049 && pressure.full_10s < 1.051);
	assert_int_equal(pressure_parse("some avg10=1.0 avg60=1.0\n", &pressure),
			 -EPROTO);
	assert_int_equal(pressure_parse("some avg10=1e5 avg60=1.0\n", &pressure),
			 -EPROTO);
	assert_int_equal(pressure_parse("", &pressure), -EPROTO);
}

static struct smaps smaps;

static void mappings_by_name(void **state)
{
	static const char *const lines[] = {
		"55d0c0000000-55d0c0001000 r--p 00000000 fe:00 77 /usr/bin/prog",
		"Rss:                   4 kB",
		"Pss:                 999 kB",
		"Shared_Clean:          4 kB",
		"55d0c0001000-55d0c0002000 rw-p 00001000 fe:00 77 /usr/bin/prog",
		"Rss:                   8 kB",
		"55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0   [heap]",
		"Rss:                 100 kB",
		"Shared_Clean:          3 kB",
		"Shared_Dirty:         40 kB",
		"Private_Dirty:        57 kB",
		"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ",
		"Rss:                  50 kB",
		"7f0000200000-7f0000300000 rw-s 00000000 00:01 9   /memfd:pool (deleted)",
		"Rss:                 200 kB",
		"VmFlags: rd wr mr",
		"7f0000400000-7f0000500000 rw-p 00000000 00:00 0   [anon:jemalloc_pg]",
		"Rss:                  30 kB",
		"7f0000600000-7f0000700000 rw-p 00000000 00:00 0   [anon: glibc: malloc]",
		"Rss:                   2 kB",
		"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0   [stack]",
		"Rss:                  16 kB",
		"no mapping at all",
	};
	char line[128];

	(void)state;
	smaps_begin(&smaps);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(line, sizeof(line), "%s", lines[i]);
		smaps_line(&smaps, line);
	}
	smaps_end(&smaps);
	assert_int_equal(smaps.rss_bytes[SMAPS_ANON], 182 << 10);
	assert_int_equal(smaps.rss_bytes[SMAPS_FILE], 12 << 10);
	assert_int_equal(smaps.rss_bytes[SMAPS_SHARED], 200 << 10);
	assert_int_equal(smaps.rss_bytes[SMAPS_STACK], 16 << 10);
	assert_int_equal(smaps.forked_bytes, 43 << 10);
	assert_int_equal(smaps.count, 4);
	assert_string_equal(smaps.name[0].name, "/memfd:pool (deleted)");
	assert_string_equal(smaps.name[3].name, "/usr/bin/prog");
	assert_int_equal(smaps.name[3].rss_bytes, 12 << 10);
}

static void more_names_than_there_is_room_for(void **state)
{
	char line[512];

	(void)state;
	smaps_begin(&smaps);
	for (int i = 0; i < SMAPS_NAMES + 10; i++) {
		snprintf(line, sizeof(line), "1000-2000 r--p 0 fe:00 7 /%0200d%d", 0, i);
		smaps_line(&smaps, line);
		snprintf(line, sizeof(line), "Rss: %d kB", i);
		smaps_line(&smaps, line);
	}
	smaps_end(&smaps);
	assert_int_equal(smaps.count, SMAPS_NAMES);
	assert_int_equal(smaps.name[0].rss_bytes, (SMAPS_NAMES - 1) << 10);
	assert_memory_equal(smaps.name[0].name, "...0", 4);
	assert_int_equal(strlen(smaps.name[0].name), SMAPS_NAME - 1);
	assert_int_equal(smaps.rss_bytes[SMAPS_FILE], 265 * 266 / 2 << 10);
}

static void huge_pages(void **state)
{
	static const char *const lines[] = {
		"55d0c1000000-55d0c1100000 rw-p 00000000 00:00 0   [heap]",
		"Rss:                 100 kB",
		"AnonHugePages:        64 kB",
		"THPeligible:           1",
		"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 ",
		"Rss:                  50 kB",
		"AnonHugePages:         0 kB",
		"THPeligible:           0",
		"7f0000200000-7f0000300000 rw-s 00000000 00:01 9   /memfd:pool (deleted)",
		"Rss:                 200 kB",
		"AnonHugePages:       128 kB",
		"THPeligible:           1",
	};
	char line[128];

	(void)state;
	smaps_begin(&smaps);
	assert_false(smaps.has_eligible);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(line, sizeof(line), "%s", lines[i]);
		smaps_line(&smaps, line);
	}
	smaps_end(&smaps);
	assert_true(smaps.has_eligible);
	assert_int_equal(smaps.anon_huge_bytes, 64 << 10);
	assert_int_equal(smaps.eligible_bytes, 100 << 10);
}

static void executable_and_shared(void **state)
{
	static const char *const lines[] = {
		"55d0c0000000-55d0c0001000 r--p 00000000 fe:00 77 /usr/bin/prog",
		"Rss:                   4 kB",
		"55d0c0001000-55d0c0002000 r-xp 00001000 fe:00 77 /usr/bin/prog",
		"Rss:                   4 kB",
		"55d0c0003000-55d0c0004000 r--p 00000000 fe:00 78 /usr/share/data",
		"Rss:                   4 kB",
		"7f0000200000-7f0000300000 rw-s 00000000 00:01 9 /dev/zero (deleted)",
		"Rss:                 200 kB",
		"Pss:                  50 kB",
	};
	static const char *const arena = "c000000000-c000400000 rw-p 00000000 00:00 0 ";
	char line[128];

	(void)state;
	smaps_begin(&smaps);
	for (unsigned i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		snprintf(line, sizeof(line), "%s", lines[i]);
		smaps_line(&smaps, line);
	}
	assert_false(smaps.has_go);
	snprintf(line, sizeof(line), "%s", arena);
	smaps_line(&smaps, line);
	assert_true(smaps.has_go);
	smaps_end(&smaps);
	for (unsigned i = 0; i < smaps.count; i++)
		assert_int_equal(smaps.name[i].has_code,
				 !strcmp(smaps.name[i].name, "/usr/bin/prog"));
	assert_int_equal(smaps.pss_bytes[SMAPS_SHARED], 50 << 10);
}

static void huge_settings(void **state)
{
	struct huge huge;

	(void)state;
	assert_int_equal(huge_read_at(root, &huge), -ENOENT);
	put("/hpage_pmd_size", "2097152\n");
	put("/khugepaged/max_ptes_none", "511\n");
	put("/khugepaged/pages_to_scan", "4096\n");
	put("/khugepaged/scan_sleep_millisecs", "10000\n");
	put("/enabled", "always [madvise] never\n");
	assert_int_equal(huge_read_at(root, &huge), 0);
	assert_false(huge.is_always);
	assert_int_equal(huge.max_ptes_none, 511);
	assert_int_equal(huge.pages_to_scan, 4096);
	assert_int_equal(huge.sleep_ms, 10000);
	put("/enabled", "[always] madvise never\n");
	assert_int_equal(huge_read_at(root, &huge), 0);
	assert_true(huge.is_always);
	/* What is said of the size itself counts more. */
	put("/hugepages-2048kB/enabled", "always inherit [madvise] never\n");
	assert_int_equal(huge_read_at(root, &huge), 0);
	assert_false(huge.is_always);
	put("/hugepages-2048kB/enabled", "always [inherit] madvise never\n");
	assert_int_equal(huge_read_at(root, &huge), 0);
	assert_true(huge.is_always);
}

static void own_mappings(void **state)
{
	(void)state;
	assert_int_equal(smaps_read(getpid(), &smaps), 0);
	assert_true(smaps.count > 0);
	assert_true(smaps.rss_bytes[SMAPS_ANON] > 0);
	assert_true(smaps.rss_bytes[SMAPS_STACK] > 0);
	assert_int_equal(smaps_read(0, &smaps), -ENOENT);
}

/* ---- cgroups ---- */

static void version_2(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put("/app/web/memory.max", "max\n");
	put("/app/web/memory.high", "104857600\n");
	put("/app/web/memory.current", "73400320\n");
	put("/app/web/memory.stat",
	    "anon 1\nactive_file 1048576\ninactive_file 2097152\n");
	put("/app/web/memory.pressure",
	    "some avg10=3.00 avg60=2.00 avg300=1.00 total=1\n"
	    "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
	put("/app/memory.max", "209715200\n");
	put("/app/memory.high", "max\n");
	put("/app/memory.current", "94371840\n");
	put("/app/memory.stat", "active_file 0\ninactive_file 0\n");
	assert_int_equal(parse("1:name=systemd:/x\n0::/app/web\n", &memory), 0);
	assert_int_equal(memory.version, 2);
	assert_string_equal(memory.path, "/app/web");
	assert_true(memory.max.is_set);
	assert_string_equal(memory.max.path, "/app");
	assert_int_equal(memory.max.limit_bytes, 200 * M);
	assert_int_equal(memory.max.used_bytes, 90 * M);
	assert_true(memory.high.is_set);
	assert_string_equal(memory.high.path, "/app/web");
	assert_int_equal(memory.high.used_bytes, 70 * M);
	assert_int_equal(memory.high.cache_bytes, 3 * M);
	assert_true(memory.has_pressure);
	assert_true(memory.pressure.some_10s == 3.0);
}

static void version_1(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put("/memory.limit_in_bytes", "9223372036854771712\n");
	put("/memory.usage_in_bytes", "1\n");
	put("/job/memory.limit_in_bytes", "67108864\n");
	put("/job/memory.usage_in_bytes", "33554432\n");
	put("/job/memory.stat", "inactive_file 7\ntotal_inactive_file 1048576\n"
				"total_active_file 0\n");
	assert_int_equal(parse("4:cpu,memory:/job\n0::/\n", &memory), 0);
	assert_int_equal(memory.version, 1);
	assert_true(memory.max.is_set);
	assert_int_equal(memory.max.limit_bytes, 64 * M);
	assert_int_equal(memory.max.used_bytes, 32 * M);
	assert_int_equal(memory.max.cache_bytes, M);
	assert_false(memory.high.is_set);
	assert_false(memory.has_pressure);
}

static void the_tightest_of_many_counts(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put("/a/b/memory.max", "104857600\n");
	put("/a/b/memory.current", "10485760\n");
	put("/a/memory.max", "115343360\n");
	put("/a/memory.current", "104857600\n");
	assert_int_equal(parse("0::/a/b\n", &memory), 0);
	assert_string_equal(memory.max.path, "/a");
	/* The same, but most of what is used is cache: then /a/b is nearer. */
	put("/a/memory.stat", "active_file 0\ninactive_file 94371840\n");
	assert_int_equal(parse("0::/a/b\n", &memory), 0);
	assert_string_equal(memory.max.path, "/a/b");
}

static void no_limit_and_no_cgroup(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put("/u/memory.max", "max\n");
	put("/u/memory.current", "1\n");
	assert_int_equal(parse("0::/u\n", &memory), 0);
	assert_false(memory.max.is_set);
	assert_int_equal(parse("0::/elsewhere\n", &memory), -ENOENT);
	assert_int_equal(parse("3:cpu:/u\n", &memory), -ENOENT);
	assert_int_equal(parse("", &memory), -ENOENT);
}

/* A part of the hierarchy is mounted, as in a container. */
static void a_part_is_mounted(void **state)
{
	struct cgroup_memory memory;

	(void)state;
	put("/memory.limit_in_bytes", "67108864\n");
	put("/memory.usage_in_bytes", "33554432\n");
	put("/worker/memory.limit_in_bytes", "9223372036854771712\n");
	put("/worker/memory.usage_in_bytes", "1\n");
	strcpy(mounts.memory.root, "/docker/abc");
	assert_int_equal(parse("4:memory:/docker/abc\n", &memory), 0);
	assert_int_equal(memory.max.limit_bytes, 64 * M);
	assert_string_equal(memory.path, "/");
	assert_int_equal(parse("4:memory:/docker/abc/worker\n", &memory), 0);
	assert_int_equal(memory.max.limit_bytes, 64 * M);
	assert_string_equal(memory.path, "/worker");
	/* Of another container, whatever its name begins with. */
	assert_int_equal(parse("4:memory:/docker/abcdef\n", &memory), -ENOENT);
	assert_int_equal(parse("4:memory:/docker\n", &memory), -ENOENT);
	mounts.memory.point[0] = '\0';
	assert_int_equal(parse("4:memory:/docker/abc\n", &memory), -ENOENT);
}

static void mounts_are_found(void **state)
{
	char text[] =
		"22 1 0:21 / /proc rw - proc proc rw\n"
		"30 25 0:26 /docker/a /fs/cpu ro,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
		"31 25 0:27 /docker/a /fs/memory ro shared:9 - cgroup cgroup rw,memory\n"
		"32 25 0:28 /x /fs/other ro - cgroup cgroup rw,memoryless\n"
		"33 25 0:27 / /host/memory ro - cgroup cgroup rw,cpu,memory\n"
		"34 25 0:27 /y /again ro - cgroup cgroup rw,memory\n"
		"35 25 0:29 / /fs/unified rw master:3 propagate_from:2 - cgroup2 cgroup2 "
		"rw\n"
		"broken\n36 1 - cgroup2\n";
	char none[] = "";

	(void)state;
	cgroup_mounts_parse(text, &mounts);
	assert_string_equal(mounts.memory.point, "/host/memory");
	assert_string_equal(mounts.memory.root, "/");
	assert_string_equal(mounts.unified.point, "/fs/unified");
	cgroup_mounts_parse(none, &mounts);
	assert_string_equal(mounts.memory.point, "");
	assert_string_equal(mounts.unified.point, "");
}

/* ---- a real process ---- */

static pid_t start_limited(void)
{
	const struct rlimit as = {512 * M, 512 * M}, data = {256 * M, 256 * M};
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		if (setrlimit(RLIMIT_AS, &as) || setrlimit(RLIMIT_DATA, &data) ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* A build with sanitizers maps terabytes of address space: only the limits are asked of
 * such a child, and that what is used was read. */
static void a_limited_process(void **state)
{
	pid_t pid = start_limited();
	const unsigned needed = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES;
	struct bounds bounds;

	(void)state;
	bounds_read(pid, &bounds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(bounds.has & needed, needed);
	assert_true(bounds.host.has & LIMITS_HAS_MEMORY);
	assert_int_equal(bounds.rlimit.address_space_bytes, 512 * M);
	assert_int_equal(bounds.rlimit.data_bytes, 256 * M);
	assert_in_range(bounds.total_vm_bytes, 4096, UINT64_C(1) << 50);
	assert_in_range(bounds.data_vm_bytes, 4096, bounds.total_vm_bytes);
	assert_in_range(bounds.host.available_bytes, 1, bounds.host.ram_bytes);
}

static void a_process_that_is_gone(void **state)
{
	struct bounds bounds;
	struct oom_rank rank;
	pid_t pid = start_limited();

	(void)state;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(bounds_read(pid, &bounds) < 0);
	assert_int_equal(bounds.has & (BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES), 0);
	assert_true(bounds.host.has & LIMITS_HAS_MEMORY);
	assert_true(oom_rank_read(pid, &rank) < 0);
}

static void place_before_the_oom_killer(void **state)
{
	pid_t pid = start_limited();
	struct oom_rank first, rank;
	char path[64];
	FILE *file;
	int said;

	(void)state;
	assert_int_equal(oom_rank_read(pid, &rank), 0);
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	file = fopen(path, "w");
	said = file ? fprintf(file, "1000") : 0;
	said = file && !fclose(file) && said > 0;
	assert_int_equal(oom_rank_read(pid, &first), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_in_range(rank.place, 1, rank.candidates);
	assert_int_equal(rank.score_adj, 0);
	assert_true(rank.first.score >= rank.score);
	if (!said)
		skip();
	assert_int_equal(first.score_adj, 1000);
	assert_true(first.score > rank.score);
	assert_true(first.first.score >= first.score);
	assert_true(first.place <= rank.place);
}

#define IN_TREE(name) cmocka_unit_test_setup_teardown(name, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rlimits),
		cmocka_unit_test(sizes),
		cmocka_unit_test(stack_pointer),
		cmocka_unit_test(memory_of_the_host),
		cmocka_unit_test(pressure_text),
		cmocka_unit_test(mappings_by_name),
		cmocka_unit_test(more_names_than_there_is_room_for),
		cmocka_unit_test(huge_pages),
		cmocka_unit_test(executable_and_shared),
		IN_TREE(huge_settings),
		cmocka_unit_test(own_mappings),
		IN_TREE(version_2),
		IN_TREE(version_1),
		IN_TREE(the_tightest_of_many_counts),
		IN_TREE(no_limit_and_no_cgroup),
		IN_TREE(a_part_is_mounted),
		cmocka_unit_test(mounts_are_found),
		cmocka_unit_test(a_limited_process),
		cmocka_unit_test(a_process_that_is_gone),
		cmocka_unit_test(place_before_the_oom_killer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
