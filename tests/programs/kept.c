/* kept.c: keeps blocks of every function that gives some out, each asked for in a
 * function of its own, called NAME_keep, and gives as many back, or, with any argument,
 * keeps none. It says "NAME BYTES" of what each keeps, then "ready"; a line of input
 * makes it do what its first word says:
 *
 *   grow NAME  NAME keeps as much again
 *   drop       all that was kept is given back
 *   thin       the same, and of many small blocks beside large ones only the small ones
 *              are kept, in thin_keep
 *   plugin FILE BYTES  loads FILE, whose entry keeps a block of BYTES a hundred times
 *   thread     a thread keeps blocks, in thread_keep, and ends
 *   routine    a coroutine does, in routine_keep, on a stack between two closed pages
 *   signal     a handler does, in signal_keep, on a stack of its own
 *   fork       a child does, in fork_keep, and says "child PID"
 *   spawn      a child of vfork does, in spawn_keep, and ends
 *   closed     a thread that may call nothing but read, write and exit does, in
 *              closed_keep
 *   relay      threads give each other blocks from relay_keep to give back, many times;
 *              512 are kept
 *   namespace FILE  FILE is loaded by dlmopen, with a libc of its own, and its entry
 *              called
 *
 * Each says "done". */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { BLOCKS = 4000, BYTES = 1000, ALIGN = 64, PAGE = 4096, STACK = 64 << 10 };
enum { RELAYS = 4, RELAY_PLACES = 512, RELAY_TURNS = 20000, RELAY_BYTES = 2000 };
enum { PLUGIN_TIMES = 100, CLOSED = 4000, THINS = 3000, SECONDS = 240 };

#define FRAME __attribute__((noinline, noclone, no_icf))
#define STAYS __asm__ volatile("" ::: "memory")

typedef void *keep_fn(size_t bytes);

static void *kept[BLOCKS * 64];
static unsigned count;

#define KEEP(name, ...)                       \
	FRAME static void *name(size_t bytes) \
	{                                     \
		void *block = __VA_ARGS__;    \
                                              \
		STAYS;                        \
		return block;                 \
	}

static void *posix(size_t bytes)
{
	void *block;

	return posix_memalign(&block, ALIGN, bytes) ? NULL : block;
}

KEEP(malloc_keep, malloc(bytes))
KEEP(calloc_keep, calloc(4, bytes / 4))
KEEP(realloc_keep, realloc(malloc(16), bytes))
KEEP(reallocarray_keep, reallocarray(NULL, 4, bytes / 4))
KEEP(posix_memalign_keep, posix(bytes))
KEEP(aligned_alloc_keep, aligned_alloc(8, bytes))
KEEP(memalign_keep, memalign(ALIGN, bytes))
KEEP(valloc_keep, valloc(bytes))
KEEP(shrunk_keep, realloc(malloc(100 * bytes), bytes))
KEEP(failed_keep, malloc(bytes))
KEEP(strdup_keep, memset(malloc(bytes), 'x', bytes - 1))
KEEP(thread_keep, malloc(bytes))
KEEP(routine_keep, malloc(bytes))
KEEP(signal_keep, malloc(bytes))
KEEP(fork_keep, malloc(bytes))
KEEP(spawn_keep, malloc(bytes))
KEEP(closed_keep, malloc(bytes))
KEEP(thin_keep, malloc(bytes))
KEEP(relay_keep, malloc(bytes))

static const struct way {
	const char *name;
	keep_fn *keep;
} ways[] = {
	{"malloc", malloc_keep},
	{"calloc", calloc_keep},
	{"realloc", realloc_keep},
	{"reallocarray", reallocarray_keep},
	{"posix_memalign", posix_memalign_keep},
	{"aligned_alloc", aligned_alloc_keep},
	{"memalign", memalign_keep},
	{"valloc", valloc_keep},
	{"shrunk", shrunk_keep},
	{"failed", failed_keep},
	{"strdup", strdup_keep},
};

/* Every other block goes at once: what is left is what counts. */
static void keep(keep_fn *fn)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		free(fn(BYTES));
		kept[count] = fn(BYTES);
		if (!kept[count++])
			abort();
	}
}

/* A realloc that gets nothing leaves the block as it was. */
static void fail_to_grow(void)
{
	for (unsigned i = 0; i < count; i++) {
		void *volatile block = kept[i];

		if (realloc(block, SIZE_MAX / 4))
			abort();
	}
}

static void *in_thread(void *unused)
{
	(void)unused;
	keep(thread_keep);
	return NULL;
}

static void run_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, in_thread, NULL) || pthread_join(thread, NULL))
		abort();
}

static void *in_closed_thread(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < CLOSED; i++)
		kept[count + i] = closed_keep(BYTES);
	/* So that its arena need not grow later. */
	for (unsigned i = 0; i < CLOSED; i++)
		free(kept[count + i]);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		abort();
	for (unsigned i = 0; i < CLOSED / 2; i++)
		kept[count++] = closed_keep(BYTES);
	syscall(SYS_exit, 0);
	return NULL;
}

static void run_closed(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, in_closed_thread, NULL) ||
	    pthread_join(thread, NULL))
		abort();
}

/* ---- a relay ---- */

static void *_Atomic relayed[RELAY_PLACES];

static void *in_relay(void *number)
{
	unsigned random = *(const unsigned *)number;

	for (unsigned i = 0; i < RELAY_TURNS; i++) {
		void *block, *other;

		random = random * 1103515245 + 12345;
		block = relay_keep(64 + (random >> 8) % RELAY_BYTES);
		if (!block)
			abort();
		other = atomic_exchange(&relayed[(random >> 20) % RELAY_PLACES], block);
		free(random & 1 << 19 ? realloc(other, RELAY_BYTES) : other);
	}
	return NULL;
}

static void run_relay(void)
{
	pthread_t thread[RELAYS];
	unsigned number[RELAYS];

	for (unsigned i = 0; i < RELAYS; i++) {
		number[i] = i + 1;
		if (pthread_create(&thread[i], NULL, in_relay, &number[i]))
			abort();
	}
	for (unsigned i = 0; i < RELAYS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < RELAY_PLACES; i++)
		if (relayed[i])
			kept[count++] = atomic_exchange(&relayed[i], NULL);
}

/* ---- other stacks ---- */

static ucontext_t main_context, routine_context;

static void in_routine(void)
{
	keep(routine_keep);
	swapcontext(&routine_context, &main_context);
}

/* As close to the closed pages as can be. */
static char *make_stack(void)
{
	char *memory = mmap(NULL, STACK + 2 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED ||
	    mprotect(memory + PAGE, STACK, PROT_READ | PROT_WRITE))
		abort();
	return memory + PAGE;
}

static void run_routine(void)
{
	getcontext(&routine_context);
	routine_context.uc_stack.ss_sp = make_stack();
	routine_context.uc_stack.ss_size = STACK;
	makecontext(&routine_context, in_routine, 0);
	swapcontext(&main_context, &routine_context);
}

static void on_signal(int signal)
{
	(void)signal;
	keep(signal_keep);
}

static void run_signal(void)
{
	stack_t stack = {.ss_sp = make_stack(), .ss_size = STACK};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
}

/* ---- children ---- */

static void run_fork(void)
{
	pid_t child = fork();

	if (child)
		return;
	/* It ends with its parent, whose alarm it has not. */
	alarm(SECONDS);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	keep(fork_keep);
	for (unsigned i = 0; i < count; i += 2)
		free(kept[i]);
	printf("child %d\n", (int)getpid());
	fflush(stdout);
	pause();
	_exit(0);
}

FRAME static void in_vfork(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		kept[count + i] = spawn_keep(BYTES);
}

static void run_spawn(void)
{
	pid_t child = vfork();

	if (!child) {
		in_vfork();
		_exit(0);
	}
	count += BLOCKS;
	waitpid(child, NULL, 0);
}

/* ---- libraries ---- */

static void call_entry(void *library, size_t bytes)
{
	void (*entry)(size_t) = NULL;

	if (library)
		*(void **)&entry = dlsym(library, "entry");
	if (!entry)
		abort();
	for (unsigned i = 0; i < PLUGIN_TIMES; i++)
		entry(bytes);
}

static void grow(const char *name)
{
	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!strcmp(ways[i].name, name))
			keep(ways[i].keep);
}

static void drop(void)
{
	for (; count; count--)
		free(kept[count - 1]);
}

static void thin(void)
{
	static void *large[THINS];

	drop();
	malloc_trim(0);
	for (unsigned i = 0; i < THINS; i++) {
		large[i] = malloc(2040);
		memset(large[i], 1, 2040);
		kept[count++] = thin_keep(24);
	}
	for (unsigned i = 0; i < THINS; i++)
		free(large[i]);
	malloc_trim(0);
}

static void obey(char *line)
{
	char *word = strtok(line, " \n"), *name = strtok(NULL, " \n"),
	     *bytes = strtok(NULL, " \n");

	if (!strcmp(word, "grow"))
		grow(name);
	else if (!strcmp(word, "drop"))
		drop();
	else if (!strcmp(word, "thin"))
		thin();
	else if (!strcmp(word, "plugin"))
		call_entry(dlopen(name, RTLD_NOW), strtoull(bytes, NULL, 10));
	else if (!strcmp(word, "namespace"))
		call_entry(dlmopen(LM_ID_NEWLM, name, RTLD_NOW), BYTES);
	else if (!strcmp(word, "thread"))
		run_thread();
	else if (!strcmp(word, "closed"))
		run_closed();
	else if (!strcmp(word, "relay"))
		run_relay();
	else if (!strcmp(word, "routine"))
		run_routine();
	else if (!strcmp(word, "signal"))
		run_signal();
	else if (!strcmp(word, "fork"))
		run_fork();
	else if (!strcmp(word, "spawn"))
		run_spawn();
}

int main(int argc, char **argv)
{
	char line[4096];

	alarm(SECONDS);
	(void)argv;
	for (size_t i = 0; argc == 1 && i < sizeof(ways) / sizeof(*ways); i++) {
		keep(ways[i].keep);
		printf("%s %d\n", ways[i].name, BLOCKS * BYTES);
	}
	fail_to_grow();
	errno = 0;
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		printf("done\n");
		fflush(stdout);
	}
	return 0;
}
