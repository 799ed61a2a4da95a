/* stacks.c: known ways down to the kernel, for the tests of the unwinder: stacks WAY
 * [ARGUMENT...]. Before each step it calls getppid, where the test waits for it. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LARGE = 1 << 20, DEPTH = 20 };

/* Every function here is one frame: it is not inlined, and does something after its call
 * so that this cannot become a jump. */
#define FRAME __attribute__((noinline, noclone))
#define STAYS __asm__ volatile("" ::: "memory")

void inner(size_t size);
void outer(size_t size);
void deeper(unsigned depth);

static void *volatile sink;

static void mark(void)
{
	syscall(SYS_getppid);
}

FRAME void inner(size_t size)
{
	sink = malloc(size);
	STAYS;
}

FRAME void outer(size_t size)
{
	/* A frame whose size only its own frame information tells. */
	volatile char room[200];

	room[size % sizeof(room)] = 1;
	inner(size);
	STAYS;
}

FRAME static void grow(char **size)
{
	for (; *size; size++) {
		mark();
		outer(strtoull(*size, NULL, 10));
	}
}

FRAME static void resize(char **size)
{
	char *block = malloc(LARGE);

	mark();
	sink = realloc(block, strtoull(*size, NULL, 10));
	STAYS;
}

FRAME static void not_by_malloc(char **none)
{
	(void)none;
	mark();
	sink = mmap(NULL, LARGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mark();
	sink = sbrk(LARGE);
}

FRAME static void *thread_start(void *argument)
{
	mark();
	outer(LARGE);
	STAYS;
	return argument;
}

FRAME static void in_a_thread(char **none)
{
	pthread_t thread;

	(void)none;
	if (pthread_create(&thread, NULL, thread_start, NULL) == 0)
		pthread_join(thread, NULL);
}

FRAME void deeper(unsigned depth)
{
	if (depth)
		deeper(depth - 1);
	else
		outer(LARGE);
	STAYS;
}

FRAME static void deep(char **none)
{
	(void)none;
	mark();
	deeper(DEPTH);
}

#ifndef IS_STATIC
FRAME static void plugins(char **file)
{
	mark();
	for (; *file; file++) {
		void *library = dlopen(*file, RTLD_NOW);
		void (*entry)(size_t) = library ? dlsym(library, "entry") : NULL;

		if (!entry)
			exit(2);
		mark();
		entry(LARGE);
		dlclose(library);
	}
}
#endif

#ifdef __x86_64__
/* Traps on its first instruction: whoever takes one from the address in the signal's
 * frame is in the function before. */
void trap(void);
__asm__(".text\n"
	".globl trap\n"
	".type trap, @function\n"
	"trap:\n"
	".cfi_startproc\n"
	"ud2\n"
	"ret\n"
	".cfi_endproc\n"
	".size trap, . - trap\n");

/* Has no frame information, and a frame pointer that would lead a guesser on. */
void blind(size_t size);
__asm__(".text\n"
	".globl blind\n"
	".type blind, @function\n"
	"blind:\n"
	"push %rbp\n"
	"mov %rsp, %rbp\n"
	"call outer\n"
	"pop %rbp\n"
	"ret\n"
	".size blind, . - blind\n");

FRAME static void handler(int number)
{
	(void)number;
	mark();
	outer(LARGE);
	_exit(0);
}

FRAME static void in_a_handler(char **none)
{
	(void)none;
	signal(SIGILL, handler);
	trap();
	STAYS;
}

FRAME static void blindly(char **none)
{
	(void)none;
	mark();
	blind(LARGE);
	STAYS;
}
#endif

static const struct {
	const char *name;
	void (*go)(char **arguments);
} ways[] = {
	{"grow", grow},
	{"resize", resize},
	{"not-by-malloc", not_by_malloc},
	{"thread", in_a_thread},
	{"deep", deep},
#ifndef IS_STATIC
	{"plugins", plugins},
#endif
#ifdef __x86_64__
	{"handler", in_a_handler},
	{"blind", blindly},
#endif
};

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc > 1 && i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(argv[1], ways[i].name) != 0)
			continue;
		ways[i].go(argv + 2);
		mark();
		return 0;
	}
	fprintf(stderr, "stacks: unknown way\n");
	return 1;
}
