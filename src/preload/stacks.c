/* stacks.c: which allocations are noted, and the table of those. Calls are chosen as if a
 * mark stood in the stream of bytes asked for at random places, so far apart on average
 * as was asked for: a call that gets one or more of them is one of the sample. */
#include "preload/stacks.h"

#include "preload/allocator_ops.h"
#include "preload/memory.h"
#include "preload/settings.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

enum { COUNT_FULL = 255 };

__thread struct stacks_thread stacks_thread;
struct stacks_shared stacks_shared;

/* As it was set by the environment. A child of fork has it as well. */
static struct {
	struct stack_header header; /* of each table */
	struct memory_fd kept;
	bool children;
	bool is_on;
	bool had_begun; /* the parent, in a child */
} self = {.kept.fd = -1};

/* To a few milliseconds; the finer one reads a register that a thread may forbid itself,
 * as seccomp's strict mode does. */
static int64_t now_ns(void)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* ---- the table ---- */

/* The memory is DONTFORK, and where it is is wiped in a child: a child never touches its
 * parent's. */
static void *make_table(void)
{
	void *table;

	memory_drop(&self.kept);
	table = memory_make(STACK_TABLE_MEMFD, STACK_TABLE_BYTES, &self.kept);
	if (!table)
		return NULL;
	self.header.pid = (int32_t)syscall(SYS_getpid);
	self.header.start_ns = now_ns();
	self.header.forked = self.had_begun;
	self.header.state = stacks_is_asked() ? STACK_STATE_ON : STACK_STATE_BYPASSED;
	stack_table_begin(table, &self.header);
	self.had_begun = true;
	return table;
}

/* That of this process; the first call in a child makes one. Null: none. */
static void *begin(void)
{
	void *table;
	int saved = errno;

	if (self.had_begun && !self.children)
		self.is_on = false;
	if (!self.is_on ||
	    __atomic_exchange_n(&stacks_shared.is_beginning, true, __ATOMIC_ACQUIRE))
		return NULL;
	table = make_table();
	if (!table)
		self.is_on = false;
	else if (self.header.state == STACK_STATE_BYPASSED)
		self.is_on = false;
	else
		__atomic_store_n(&stacks_shared.table, table, __ATOMIC_RELEASE);
	errno = saved;
	return stacks_shared.table;
}

static void *this_table(void)
{
	void *table = __atomic_load_n(&stacks_shared.table, __ATOMIC_ACQUIRE);

	return table ? table : begin();
}

/* ---- which calls ---- */

/* xorshift64*. */
static uint64_t draw(struct stacks_thread *thread)
{
	uint64_t x = thread->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	thread->random = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* -ln of a number between 0 and 1 that has the bits of a double. */
static double minus_log(uint64_t bits)
{
	const double ln_2 = 0.693147180559945309417;
	union {
		double value;
		uint64_t bits;
	} u = {.value = ((double)(bits >> 11) + 0.5) / (double)(UINT64_C(1) << 53)};
	int exponent = (int)(u.bits >> 52) - 1023;
	double z, square, sum = 0;

	u.bits = (u.bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1023) << 52;
	z = (u.value - 1) / (u.value + 1);
	square = z * z;
	for (int k = 15; k > 0; k -= 2)
		sum = sum * square + 1.0 / k;
	return -(exponent * ln_2 + 2 * z * sum);
}

static uint64_t gap(struct stacks_thread *thread)
{
	return (uint64_t)(minus_log(draw(thread)) * (double)self.header.mean_bytes);
}

static void seed(struct stacks_thread *thread)
{
	uint64_t x = (uint64_t)now_ns() * UINT64_C(0x9e3779b97f4a7c15);

	x ^= (uintptr_t)thread * UINT64_C(0xbf58476d1ce4e5b9);
	thread->random = x ? x : 1;
	for (int i = 0; i < 4; i++)
		draw(thread);
	stacks_copy_begin_thread(self.header.pid);
}

/* Until the library has begun every call comes here; where there is to be no table, only
 * the first. */
static bool not_yet(struct stacks_thread *thread)
{
	thread->left_bytes = self.had_begun && !self.is_on ? INT64_MAX : 0;
	return false;
}

bool stacks_choose(uint64_t bytes)
{
	struct stacks_thread *thread = &stacks_thread;
	int saved = errno;
	uint64_t first;

	if (!this_table())
		return not_yet(thread);
	if (!thread->random) {
		seed(thread);
		errno = saved;
		first = gap(thread);
		if (first >= bytes) {
			thread->left_bytes = first - bytes;
			return false;
		}
	}
	thread->left_bytes = gap(thread);
	return true;
}

/* ---- what is in the table ---- */

/* One more, or with -1 one less, at BLOCK's place. A place that ever had COUNT_FULL keeps
 * them: it is looked up for nothing from then on. */
static void count_block(const void *block, int more)
{
	uint8_t *count = &stacks_shared.count[stacks_place(block)];
	uint8_t now = __atomic_load_n(count, __ATOMIC_RELAXED);

	while (now != COUNT_FULL &&
	       !__atomic_compare_exchange_n(count, &now, (uint8_t)(now + more), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void put(void *table, const void *block, uint32_t slot)
{
	count_block(block, 1);
	if (!stack_table_put(table, (uintptr_t)block, slot))
		count_block(block, -1);
}

__attribute__((noinline)) void stacks_note(const void *block, uint64_t bytes)
{
	void *table = stacks_shared.table;
	struct stack_slot *slot;
	uint32_t number;
	int saved = errno;

	if (!table || !block)
		return;
	/* Given back by a way that does not come by here, and handed out again. */
	if (stacks_may_have(block) && stacks_forget(block, &number))
		stacks_drop(number);
	slot = stack_table_slot(table, &number);
	if (slot) {
		stacks_copy(slot, self.header.pid);
		slot->bytes = bytes;
		slot->time_ns = now_ns();
		put(table, block, number);
	}
	errno = saved;
}

bool stacks_forget(const void *block, uint32_t *slot)
{
	void *table = stacks_shared.table;

	if (!table || !stack_table_take(table, (uintptr_t)block, slot))
		return false;
	count_block(block, -1);
	return true;
}

void stacks_restore(const void *block, uint32_t slot)
{
	put(stacks_shared.table, block, slot);
}

void stacks_drop(uint32_t slot)
{
	stack_table_free_slot(stacks_shared.table, slot);
}

/* ---- the life ---- */

static bool is_meant(void)
{
	struct settings settings;

	settings_read(&settings, getenv(SETTINGS_VARIABLE));
	self.children = settings.children;
	self.header.mean_bytes = settings.stacks_bytes;
	return settings.stacks_bytes &&
	       (!settings.pid || settings.pid == syscall(SYS_getpid));
}

__attribute__((constructor)) static void load(void)
{
	int saved = errno;

	self.is_on = !host_is_off_limits() && is_meant() &&
		     !syscall(SYS_madvise, &stacks_shared, sizeof(stacks_shared),
			      MADV_WIPEONFORK);
	stacks_copy_begin();
	host_malloc_name(self.header.name);
	this_table();
	self.had_begun = true;
	errno = saved;
}
