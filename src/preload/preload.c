/* preload.c: the sampler's life inside a program: it starts before the program does, or
 * when `attach` loads it, has one thread with no signals, and a life of its own in every
 * forked child. `detach` ends it, and `attach` can start it again. */
#include "preload/allocator_ops.h"
#include "preload/budget.h"
#include "preload/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* This library is linked with no libc, so that it loads beside any: it takes what is
 * there. Calls into the kernel go by syscall, past what a host puts in front of them. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
		      void *object);
#pragma weak __register_atfork
/* In a library of its own before glibc 2.34. */
#pragma weak pthread_create
#pragma weak pthread_key_create
#pragma weak pthread_setspecific
#pragma weak pthread_attr_setstacksize
#pragma weak pthread_sigmask
/* As musl has it, too. */
extern char **environ;
#pragma weak environ

#define SECOND_NS INT64_C(1000000000)

enum {
	STACK_BYTES = 64 << 10,
	LOOK_NS = 20000000,	      /* between looks whether the program has ended */
	STACK_LIMIT_BYTES = 16 << 20, /* of a host with much thread-local data */
};

/* One process has one sampler. SAMPLE is what the thread works at. */
static struct {
	const struct allocator_ops *ops; /* null: unknown */
	struct settings settings;
	struct budget budget;
	char name[RING_NAME];
	void *ring;
	struct memory_fd kept;
	struct ring_sample sample;
	pthread_key_t main_thread;    /* set in that alone, so that its end is noticed */
	const volatile int *main_tid; /* null: not known */
	atomic_bool main_left;
	bool others_stayed; /* when it left */
	atomic_bool ending;
	bool is_prepared, is_registered;
	atomic_bool runs;     /* there is a thread, or about to be */
	struct settings next; /* that it is to take over when they have changed */
	atomic_bool has_changed;
} self;

static void no_figures(struct ring_sample *sample)
{
	(void)sample;
}

static const struct allocator_ops allocator_ops_unknown = {.kind = RING_UNKNOWN,
							   .totals = no_figures};

static const struct allocator_ops *const allocators[] = {
	&allocator_ops_jemalloc, /* may be beside glibc's */
	&allocator_ops_glibc,
	&allocator_ops_tcmalloc,
	&allocator_ops_mimalloc,
};

static int64_t now_ns(clockid_t clock)
{
	struct timespec now = {0};

	syscall(SYS_clock_gettime, clock, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* ---- the ring ---- */

static void write_header(struct ring_header *header)
{
	header->version = RING_VERSION;
	header->header_bytes = RING_HEADER_BYTES;
	header->slot_bytes = RING_SLOT_BYTES;
	header->slots = RING_SLOTS;
	header->pid = (int32_t)syscall(SYS_getpid);
	header->allocator = self.ops->kind;
	header->asked_interval_ns = self.settings.interval_ns;
	for (unsigned i = 0; i < RING_NAME; i++)
		header->name[i] = self.name[i];
	__atomic_store_n(&header->magic, RING_MAGIC, __ATOMIC_RELEASE);
}

static bool make_ring(void)
{
	self.ring = memory_make(RING_MEMFD, RING_BYTES, &self.kept);
	if (self.ring)
		write_header(self.ring);
	return self.ring;
}

/* ---- the thread ---- */

static void take_sample(void)
{
	struct ring_sample *sample = &self.sample;
	int64_t before_ns = now_ns(CLOCK_MONOTONIC), totals_ns, detail_ns = 0;
	bool with_detail =
		self.ops->detail && budget_allows_detail(&self.budget, before_ns);

	sample->flags = sample->have = 0;
	sample->arenas_filled = sample->classes_filled = 0;
	sample->time_ns = now_ns(CLOCK_REALTIME);
	sample->monotonic_ns = before_ns;
	self.ops->totals(sample);
	totals_ns = now_ns(CLOCK_MONOTONIC) - before_ns;
	if (with_detail) {
		self.ops->detail(sample);
		detail_ns = now_ns(CLOCK_MONOTONIC) - before_ns - totals_ns;
	}
	sample->cost_ns = totals_ns + detail_ns;
	sample->interval_ns =
		budget_spend(&self.budget, before_ns, totals_ns, with_detail, detail_ns);
	ring_publish(self.ring, sample);
}

/* Until DUE_NS, or until somebody asks for a trim. */
static void wait_until(const struct ring_header *header, int64_t due_ns)
{
	struct timespec due = {due_ns / SECOND_NS, due_ns % SECOND_NS};

	while (syscall(SYS_futex, &header->trim_asked, FUTEX_WAIT_BITSET,
		       header->trim_done, &due, NULL, FUTEX_BITSET_MATCH_ANY) &&
	       errno == EINTR)
		;
}

/* Anybody may write the words of a request who may write to the program. */
static void serve_trim(struct ring_header *header)
{
	uint32_t asked = __atomic_load_n(&header->trim_asked, __ATOMIC_ACQUIRE);
	int64_t before_ns;

	if (asked == header->trim_done)
		return;
	before_ns = now_ns(CLOCK_MONOTONIC);
	header->trim_result = self.ops->trim ? 0 : -ENOTSUP;
	if (self.ops->trim)
		self.ops->trim();
	header->trim_ns = now_ns(CLOCK_MONOTONIC) - before_ns;
	__atomic_store_n(&header->trim_done, asked, __ATOMIC_RELEASE);
}

/* The main thread ended by pthread_exit, as others may go on. The sampler must not be the
 * last: from now on it looks whether it is. */
static void main_thread_left(void *ring)
{
	struct ring_header *header = ring;

	atomic_store(&self.main_left, true);
	syscall(SYS_futex, &header->trim_asked, FUTEX_WAKE, 1, NULL, NULL, 0L);
}

/* Where the kernel writes 0 when the main thread ends, which is this one: glibc has its
 * tid there (__tls_init_tp in sysdeps/nptl/dl-tls_init_tp.c, and fork), musl something
 * else. */
static void find_main_tid(void)
{
	int *tid = NULL;

	self.main_tid = NULL;
	if (!syscall(SYS_prctl, PR_GET_TID_ADDRESS, &tid, 0L, 0L, 0L) && tid &&
	    *tid == syscall(SYS_getpid))
		self.main_tid = tid;
}

/* By pthread_exit, or by the bare system call, or because seccomp ended it alone, which
 * call no function of anybody. Where its tid is not known, as with musl, the kernel is
 * asked: /proc has no program of a thread that has ended. */
static bool main_has_left(void)
{
	char path;

	if (atomic_load(&self.main_left))
		return true;
	if (self.main_tid)
		return !*self.main_tid;
	return syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", &path, 1L) < 0 &&
	       errno == ENOENT;
}

/* Whether the program waits for this thread alone: there is no other but the main one,
 * which stays in the list. */
static bool is_alone(void)
{
	struct stat tasks;

	if (!main_has_left() ||
	    syscall(SYS_newfstatat, AT_FDCWD, "/proc/self/task", &tasks, 0))
		return false;
	if (tasks.st_nlink != 2 + 2)
		self.others_stayed = true;
	return tasks.st_nlink == 2 + 2;
}

/* How the main thread ended, as wait reports it: the 52nd field of its stat, 50 spaces
 * behind its name. */
static bool main_status(unsigned *status)
{
	enum { EXIT_CODE = 50 };
	char text[1024];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/stat",
			      O_RDONLY | O_CLOEXEC, 0);
	long length = fd < 0 ? -1 : syscall(SYS_read, fd, text, sizeof(text) - 1), at;

	syscall(SYS_close, fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	for (at = length; at && text[at] != ')'; at--)
		;
	for (unsigned spaces = 0; text[at] && spaces < EXIT_CODE; at++)
		spaces += text[at] == ' ';
	*status = 0;
	for (; text[at] >= '0' && text[at] <= '9'; at++)
		*status = *status * 10 + (unsigned)(text[at] - '0');
	return true;
}

/* Without this thread the main one would have been the last, and its end the program's.
 * To the kernel it is now this thread's status that counts (from Linux 6.0 on; before,
 * the main one's), so it ends in the same way. */
static void end_as_main_did(void)
{
	/* The kernel's sigaction, whatever its fields: SIG_DFL is 0. */
	const uint64_t plain[4] = {0};
	unsigned status, number;
	sigset_t all;

	if (!main_status(&status))
		return;
	number = status & 0x7f;
	if (number) {
		syscall(SYS_rt_sigaction, (int)number, plain, NULL, sizeof(plain[0]));
		sigfillset(&all);
		pthread_sigmask(SIG_UNBLOCK, &all, NULL);
		syscall(SYS_kill, syscall(SYS_getpid), (int)number);
	}
	syscall(SYS_exit_group, status >> 8 & 0xff);
}

static bool is_to_end(const struct ring_header *header)
{
	return __atomic_load_n(&header->end_asked, __ATOMIC_ACQUIRE);
}

/* Until the next sample is due, or sooner when anything was asked for. False when the
 * program has ended but for this thread. A main thread that leaves just before the wait
 * wakes nobody: no wait is long. */
static bool rest(struct ring_header *header, int64_t due_ns)
{
	int64_t now = now_ns(CLOCK_MONOTONIC);

	while (header->trim_asked == header->trim_done && now < due_ns &&
	       !is_to_end(header) && !atomic_load(&self.has_changed)) {
		int64_t look_ns = now + (main_has_left() ? SECOND_NS / 50 : SECOND_NS);

		wait_until(header, look_ns < due_ns ? look_ns : due_ns);
		if (is_alone())
			return false;
		now = now_ns(CLOCK_MONOTONIC);
	}
	return true;
}

static void take_settings(struct ring_header *header)
{
	if (!atomic_exchange(&self.has_changed, false))
		return;
	self.settings = self.next;
	budget_begin(&self.budget, &self.settings);
	header->asked_interval_ns = self.settings.interval_ns;
}

/* As `detach` wants it, and where no thread can be started: nothing stays but the
 * library. */
static void leave(struct ring_header *header)
{
	__atomic_store_n(&header->magic, 0, __ATOMIC_RELEASE);
	memory_drop(&self.kept);
	syscall(SYS_munmap, self.ring, (long)RING_BYTES);
	self.ring = NULL;
	atomic_store(&self.runs, false);
}

/* Its return is what ends the program when it is the last: by the C library's hand where
 * the main thread has left by that, or some of the program's own stayed for longer. */
static void *run(void *unused)
{
	struct ring_header *header = self.ring;

	(void)unused;
	syscall(SYS_prctl, PR_SET_NAME, "fragscope");
	while (!atomic_load(&self.ending)) {
		if (is_to_end(header)) {
			leave(header);
			break;
		}
		take_settings(header);
		take_sample();
		if (rest(header, self.sample.monotonic_ns + self.sample.interval_ns)) {
			serve_trim(header);
			continue;
		}
		if (!atomic_load(&self.main_left) && !self.others_stayed)
			end_as_main_did();
		break;
	}
	return NULL;
}

/* The stack is libc's to map and to give to another thread after a fork; it must also
 * hold the thread-local data of the host, whose size nothing reports. */
static bool start_thread(void)
{
	int error = EINVAL;
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t bytes = STACK_BYTES; error == EINVAL && bytes <= STACK_LIMIT_BYTES;
	     bytes *= 2) {
		pthread_attr_setstacksize(&attributes, bytes);
		error = pthread_create(&thread, &attributes, run, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return !error;
}

/* ---- the life ---- */

/* `attach` calls by any thread: of the main one its end is seen elsewhere then. */
static bool notice_main_thread(void)
{
	return syscall(SYS_gettid) != syscall(SYS_getpid) ||
	       !pthread_setspecific(self.main_thread, self.ring);
}

static void begin(void)
{
	budget_begin(&self.budget, &self.settings);
	atomic_store(&self.main_left, false);
	self.others_stayed = false;
	find_main_tid();
	if (!make_ring())
		return;
	atomic_store(&self.runs, true);
	if (!notice_main_thread() || !start_thread())
		leave(self.ring);
}

static void begin_in_child(void)
{
	int saved = errno;
	bool ran = atomic_exchange(&self.runs, false);

	memory_drop(&self.kept);
	if (self.ops->forked)
		self.ops->forked();
	if (ran && self.settings.children)
		begin();
	errno = saved;
}

static void find_allocator(void)
{
	self.ops = &allocator_ops_unknown;
	host_malloc_name(self.name);
	for (unsigned i = 0; i < sizeof(allocators) / sizeof(allocators[0]); i++)
		if (allocators[i]->start(self.name)) {
			self.ops = allocators[i];
			return;
		}
}

/* The entry of ENVIRON that is the variable NAME; null: there is none. */
static char **find_variable(const char *name)
{
	for (char **entry = &environ ? environ : NULL; entry && *entry; entry++) {
		unsigned i = 0;

		while (name[i] && (*entry)[i] == name[i])
			i++;
		if (!name[i] && (*entry)[i] == '=')
			return entry;
	}
	return NULL;
}

/* Children are to have no sampler, not those either that the program executes: they take
 * the preload with the rest of the environment, and must see that they are not meant. The
 * program itself may execute another: it stays the same process. */
static void leave_children_alone(const char *text)
{
	static char variable[1024];
	char **entry = find_variable(SETTINGS_VARIABLE);
	int64_t pid = syscall(SYS_getpid);

	if (entry && self.settings.pid != pid &&
	    settings_mark(variable, sizeof(variable), text, pid))
		*entry = variable;
}

/* Whether this process is one that samples are wanted of. */
static bool is_meant(void)
{
	const char *text = getenv(SETTINGS_VARIABLE);

	settings_read(&self.settings, text);
	if (self.settings.pid && self.settings.pid != syscall(SYS_getpid))
		return false;
	if (!self.settings.children)
		leave_children_alone(text);
	return true;
}

static bool has_threads(void)
{
	return pthread_create && pthread_attr_setstacksize && pthread_sigmask &&
	       pthread_key_create && pthread_setspecific;
}

/* The handler comes after whatever the allocator has registered for itself when memory
 * was first asked of it, which starting a thread does. */
static void begin_here(void)
{
	if (!self.is_prepared) {
		if (pthread_key_create(&self.main_thread, main_thread_left))
			return;
		find_allocator();
		self.is_prepared = true;
	}
	begin();
	if (__register_atfork && !self.is_registered)
		__register_atfork(NULL, NULL, begin_in_child, NULL);
	self.is_registered = true;
}

__attribute__((constructor)) static void load(void)
{
	int saved = errno;

	if (has_threads() && !host_is_off_limits() && is_meant())
		begin_here();
	errno = saved;
}

/* `attach` has a thread of the program call it, with settings as the variable has them.
 */
__attribute__((visibility("default"))) void fragscope_sampler(const char *text);

void fragscope_sampler(const char *text)
{
	const struct ring_header *header = self.ring;
	int saved = errno;

	if (has_threads() && !host_is_off_limits()) {
		settings_read(&self.next, text);
		if (atomic_load(&self.runs)) {
			atomic_store(&self.has_changed, true);
			syscall(SYS_futex, &header->trim_asked, FUTEX_WAKE, 1, NULL, NULL,
				0L);
		} else {
			self.settings = self.next;
			begin_here();
		}
	}
	errno = saved;
}

/* No sample is begun while the program takes itself apart. */
__attribute__((destructor)) static void unload(void)
{
	atomic_store(&self.ending, true);
}
