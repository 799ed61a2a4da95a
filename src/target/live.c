#include "target/live.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel's interface of PAGEMAP_SCAN (Linux 6.7,
 * Documentation/admin-guide/mm/pagemap), which older headers lack. */
struct scan_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)

enum {
	SCAN_FILE = 1 << 2,
	SCAN_PRESENT = 1 << 3,
	SCAN_SWAPPED = 1 << 4,
	SCAN_ZERO = 1 << 5,
	SCAN_VEC = 64,
	SCAN_MANY = 512,
	/* Less than the kernel lets a thread run while others wait: 0.7 ms at the least
	 * (EEVDF's base_slice_ns, CFS's sched_min_granularity_ns). */
	TURN_NS = 600 * 1000,
	CALLS_A_LOOK = 16, /* at the clock */
};

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FRAME	((UINT64_C(1) << 55) - 1)

static struct live_memory *live_of(struct memory *memory)
{
	return (struct live_memory *)memory;
}

/* How many of the spans GOT bytes fill. */
static int spans_filled(const struct span *spans, unsigned count, size_t got)
{
	unsigned i = 0;

	while (i < count && got >= spans[i].len)
		got -= spans[i++].len;
	return i;
}

/* Some page of it may never come: who waits is then to know where. With more threads than
 * LIVE_CALLS some reads are not noted. */
static struct live_call *note_call(struct live_memory *live, const struct span *spans,
				   unsigned count)
{
	uint64_t from = UINT64_MAX, to = 0;

	for (unsigned i = 0; i < count; i++) {
		from = spans[i].addr < from ? spans[i].addr : from;
		to = spans[i].addr + spans[i].len > to ? spans[i].addr + spans[i].len
						       : to;
	}
	for (unsigned i = 0; i < LIVE_CALLS; i++) {
		uint64_t none = 0;

		if (!atomic_compare_exchange_strong(&live->call[i].from, &none, from))
			continue;
		atomic_store(&live->call[i].to, to);
		return &live->call[i];
	}
	return NULL;
}

static void end_call(struct live_memory *live, struct live_call *call)
{
	if (call)
		atomic_store(&call->from, 0);
	if (live->beats)
		atomic_fetch_add(live->beats, 1);
}

bool live_reads(const struct live_memory *live, uint64_t *from, uint64_t *to)
{
	for (unsigned i = 0; i < LIVE_CALLS; i++) {
		*from = atomic_load(&live->call[i].from);
		*to = atomic_load(&live->call[i].to);
		if (*from)
			return true;
	}
	return false;
}

/* The kernel takes the processor from who has had it for long, in the middle of a call,
 * too, that holds the target's mmap_lock; and then the target waits for the lock until it
 * is the reader's turn again, tens of milliseconds where many want to run. Handed over
 * between two calls, the lock is free meanwhile. Threads that share LIVE do so too often
 * at worst. */
static void take_turns(struct live_memory *live)
{
	int64_t now;

	if (!live->takes_turns ||
	    atomic_fetch_add_explicit(&live->calls, 1, memory_order_relaxed) %
			    CALLS_A_LOOK !=
		    0)
		return;
	now = clock_thread_ns();
	if (now - atomic_load_explicit(&live->turn_ns, memory_order_relaxed) < TURN_NS)
		return;
	sched_yield();
	atomic_store_explicit(&live->turn_ns, now, memory_order_relaxed);
}

static int live_read(struct memory *memory, const struct span *spans, unsigned count)
{
	struct iovec local[MEMORY_SPANS], remote[MEMORY_SPANS];
	struct live_memory *live = live_of(memory);
	struct live_call *call;
	unsigned filled = 0;
	ssize_t got;

	if (count == 0 || count > MEMORY_SPANS)
		return -EINVAL;
	do {
		local[filled] = (struct iovec){spans[filled].to, spans[filled].len};
		remote[filled] = (struct iovec){(void *)(uintptr_t)spans[filled].addr,
						spans[filled].len};
	} while (++filled < count);
	take_turns(live);
	call = note_call(live, spans, count);
	got = process_vm_readv(live->pid, local, count, remote, count, 0);
	if (got < 0)
		got = errno == EFAULT ? 0 : -errno;
	end_call(live, call);
	if (got < 0)
		return (int)got;
	return spans_filled(spans, count, got);
}

static uint8_t scan_flags(uint64_t categories)
{
	if (categories & SCAN_SWAPPED)
		return PAGE_SWAPPED;
	return (categories & (SCAN_PRESENT | SCAN_ZERO)) == SCAN_PRESENT ? PAGE_RESIDENT
									 : 0;
}

static int pages_by_ioctl(struct memory *memory, uint64_t start, unsigned count,
			  uint8_t *flags)
{
	struct live_memory *live = live_of(memory);
	struct scan_region vec[SCAN_VEC];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = start + ((uint64_t)count << memory->page_shift),
		.vec = (uintptr_t)vec,
		.vec_len = SCAN_VEC,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO,
	};

	memset(flags, 0, count);
	take_turns(live);
	while (arg.start < arg.end) {
		int got = ioctl(live->pagemap_fd, SCAN_IOCTL, &arg);

		if (got < 0)
			return -errno;
		for (int i = 0; i < got; i++)
			memset(flags + ((vec[i].start - start) >> memory->page_shift),
			       scan_flags(vec[i].categories),
			       (vec[i].end - vec[i].start) >> memory->page_shift);
		if (arg.walk_end <= arg.start)
			return -EPROTO;
		arg.start = arg.walk_end;
	}
	return 0;
}

int live_scan(const struct live_memory *live, uint64_t start, uint64_t end,
	      bool files_only, live_run_fn *fn, void *context)
{
	struct scan_region vec[SCAN_MANY];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)vec,
		.vec_len = SCAN_MANY,
		.category_inverted = SCAN_ZERO,
		.category_mask = SCAN_PRESENT | SCAN_ZERO | (files_only ? SCAN_FILE : 0),
		.return_mask = SCAN_PRESENT,
	};

	while (arg.start < arg.end) {
		int got = ioctl(live->pagemap_fd, SCAN_IOCTL, &arg);

		if (got < 0)
			return -errno;
		for (int i = 0; i < got; i++)
			fn(vec[i].start, vec[i].end, context);
		if (arg.walk_end <= arg.start)
			return -EPROTO;
		arg.start = arg.walk_end;
	}
	return 0;
}

static uint8_t entry_flags(const struct live_memory *live, uint64_t entry)
{
	if (entry & PAGEMAP_SWAPPED)
		return PAGE_SWAPPED;
	if (!(entry & PAGEMAP_PRESENT))
		return 0;
	if (live->zero_frame && (entry & PAGEMAP_FRAME) == live->zero_frame)
		return 0;
	return PAGE_RESIDENT;
}

static int pages_by_file(struct memory *memory, uint64_t start, unsigned count,
			 uint8_t *flags)
{
	struct live_memory *live = live_of(memory);
	uint64_t entry[PAGES_BLOCK];
	ssize_t got;

	memset(flags, 0, count);
	take_turns(live);
	if (count > PAGES_BLOCK)
		return -EINVAL;
	got = pread(live->pagemap_fd, entry, count * sizeof(*entry),
		    (start >> memory->page_shift) * sizeof(*entry));
	if (got < 0)
		return -errno;
	for (unsigned i = 0; i < got / sizeof(*entry); i++)
		flags[i] = entry_flags(live, entry[i]);
	return 0;
}

/* The frame of the zero page, read off a page of ours that was only ever read. */
static uint64_t zero_frame(unsigned page_shift)
{
	size_t bytes = (size_t)1 << page_shift;
	volatile char *page =
		mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (page != MAP_FAILED && fd >= 0) {
		(void)*page;
		if (pread(fd, &entry, sizeof(entry),
			  ((uintptr_t)page >> page_shift) * sizeof(entry)) !=
		    sizeof(entry))
			entry = 0;
	}
	if (fd >= 0)
		close(fd);
	if (page != MAP_FAILED)
		munmap((void *)page, bytes);
	return entry & PAGEMAP_PRESENT ? entry & PAGEMAP_FRAME : 0;
}

bool live_can_scan(const struct process *process)
{
	struct scan_arg arg = {
		.size = sizeof(arg),
		.category_mask = SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};

	/* An empty range: the kernel that knows the call answers 0. */
	return ioctl(process->pagemap_fd, SCAN_IOCTL, &arg) == 0;
}

void live_init(struct live_memory *live, const struct process *process,
	       enum pagemap_method method)
{
	*live = (struct live_memory){.pid = process->pid,
				     .pagemap_fd = process->pagemap_fd};
	live->memory.page_shift = __builtin_ctzl(sysconf(_SC_PAGESIZE));
	live->memory.read = live_read;
	live->memory.pages = method == PAGEMAP_IOCTL ? pages_by_ioctl : pages_by_file;
	if (method == PAGEMAP_FILE)
		live->zero_frame = zero_frame(live->memory.page_shift);
}
