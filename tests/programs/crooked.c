/* crooked.c: a program whose heap is not what it seems. "cache" chains the chunks of each
 * size in a thread's cache to themselves, "ring" leads the list of arenas in a circle
 * that leaves the main arena out, "mapped" has memory of its own that looks like mmapped
 * chunks, right before those that are. It says "ready PID" and waits for the end of its
 * input; it calls malloc no more. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZES = 60, DEEP = 7, THREADS = 3, PAGE = 4096, OWN_BYTES = 16 << 20 };

/* Offsets in the malloc_state of glibc 2.27 to 2.42, from the unsorted bin's address. */
enum { BIN_TO_STATE = 96, STATE_NEXT = 2160 };

static void bend_cache(void)
{
	static void *chunk[SIZES][DEEP];

	for (int i = 0; i < SIZES; i++)
		for (int n = 0; n < DEEP; n++)
			chunk[i][n] = malloc(24 + 16 * (size_t)i);
	for (int i = 0; i < SIZES; i++)
		for (int n = 0; n < DEEP; n++)
			free(chunk[i][n]);
	/* The last chunk that was freed is the list's head: its link now leads to itself,
	 * mangled as glibc 2.32 and later do. */
	for (int i = 0; i < SIZES; i++) {
		uintptr_t head = (uintptr_t)chunk[i][DEEP - 1];
		uintptr_t link = head ^ head >> 12;

		memcpy((void *)head, &link, sizeof(link));
	}
}

static pthread_barrier_t barrier;

static void *allocate(void *unused)
{
	void *volatile chunk = malloc(100);

	(void)unused;
	(void)chunk;
	pthread_barrier_wait(&barrier);
	pause();
	return NULL;
}

static void bend_ring(void)
{
	void *large = malloc(100000), *fence = malloc(100);
	uintptr_t state, second, last;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, allocate, NULL))
			_exit(2);
	pthread_barrier_wait(&barrier);
	free(large);
	memcpy(&state, large, sizeof(state));
	state -= BIN_TO_STATE;
	memcpy(&second, (void *)(state + STATE_NEXT), sizeof(second));
	for (last = second;;) {
		uintptr_t next;

		memcpy(&next, (void *)(last + STATE_NEXT), sizeof(next));
		if (next == state)
			break;
		last = next;
	}
	memcpy((void *)(last + STATE_NEXT), &second, sizeof(second));
	(void)fence;
}

/* The kernel maps from the top down: what is mapped later lies before. */
static void look_alike(void)
{
	static const size_t sizes[] = {300000, 1 << 20, 5 << 19};
	uint64_t *own;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		void *chunk = malloc(sizes[i]);

		if (!chunk)
			_exit(2);
		memset(chunk, 1, sizes[i]);
	}
	own = mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (own == MAP_FAILED)
		_exit(2);
	memset(own, 2, OWN_BYTES);
	for (size_t at = 3 * PAGE; at < OWN_BYTES; at += 7 * PAGE) {
		own[at / 8] = 0;
		own[at / 8 + 1] = 65 * PAGE | 2;
	}
}

static const struct {
	const char *name;
	void (*bend)(void);
} bends[] = {{"cache", bend_cache}, {"ring", bend_ring}, {"mapped", look_alike}};

int main(int argc, char **argv)
{
	char line[32] = "ready ", digits[16];
	int length = 6, count = 0;

	if (argc != 2)
		return 2;
	for (size_t i = 0; i < sizeof(bends) / sizeof(*bends); i++)
		if (!strcmp(argv[1], bends[i].name))
			bends[i].bend();
	for (int pid = getpid(); pid; pid /= 10)
		digits[count++] = (char)('0' + pid % 10);
	while (count)
		line[length++] = digits[--count];
	line[length++] = '\n';
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		return 2;
	_exit(read(STDIN_FILENO, line, 1) ? 1 : 0);
}
