/* lives.c: begins and ends processes and threads in every way, while others allocate, and
 * then says what it has left over. Usage: lives ROUNDS [keep-main]; keep-main: no main
 * thread leaves before others. `lives leave`: the main thread leaves, another says so. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, WARM_ROUNDS = 64, GOOD = 7, HELD = 500, LARGEST = 3000 };

extern char **environ;

static atomic_bool ends;

static void fail(const char *what, long round)
{
	fprintf(stderr, "lives: %s in round %ld: %s\n", what, round, strerror(errno));
	exit(1);
}

static void *allocate(void *unused)
{
	void *held[HELD] = {0};
	unsigned seed = (unsigned)(size_t)&seed;

	(void)unused;
	while (!atomic_load(&ends)) {
		unsigned i = (unsigned)rand_r(&seed) % HELD;

		free(held[i]);
		held[i] = malloc((unsigned)rand_r(&seed) % LARGEST);
	}
	for (unsigned i = 0; i < HELD; i++)
		free(held[i]);
	return NULL;
}

static void *allocate_a_little(void *unused)
{
	(void)unused;
	for (unsigned i = 1; i < 50; i++)
		free(malloc(i * 100));
	return NULL;
}

static void run_thread(void)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, allocate_a_little, NULL);
	if (errno || pthread_join(thread, NULL))
		fail("pthread_create", -1);
}

static void await(pid_t pid, int want, const char *what, long round)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status) != want)
		fail(what, round);
}

static void end_at_once(long round)
{
	pid_t pid = fork();

	if (!pid)
		_exit(GOOD);
	await(pid, GOOD, "fork and _exit", round);
}

static void end_in_order(long round)
{
	pid_t pid = fork();

	if (!pid) {
		allocate_a_little(NULL);
		exit(GOOD);
	}
	await(pid, GOOD, "fork and exit", round);
}

static void end_with_threads(long round)
{
	pid_t pid = fork();

	if (!pid) {
		run_thread();
		end_at_once(round);
		exit(GOOD);
	}
	await(pid, GOOD, "fork, threads and a fork", round);
}

static void *exit_here(void *unused)
{
	(void)unused;
	usleep(200);
	exit(GOOD);
}

/* The main thread leaves first; the last one ends the process. */
static void end_without_main(long round)
{
	pid_t pid = fork();
	pthread_t thread;

	if (!pid) {
		if (pthread_create(&thread, NULL, exit_here, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	await(pid, GOOD, "pthread_exit", round);
}

static void end_in_vfork(long round)
{
	pid_t pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork) */

	if (!pid)
		_exit(GOOD);
	await(pid, GOOD, "vfork", round);
}

static void spawn(long round)
{
	char *words[] = {"true", NULL};
	pid_t pid;

	errno = posix_spawnp(&pid, "true", NULL, NULL, words, environ);
	if (errno)
		fail("posix_spawnp", round);
	await(pid, 0, "posix_spawnp", round);
}

static void start_and_join(long round)
{
	(void)round;
	run_thread();
}

static void (*const ways[])(long round) = {
	end_at_once,	  end_in_order, end_with_threads, start_and_join,
	end_without_main, end_in_vfork, end_at_once,	  spawn,
};

static void begin_and_end(long round, bool keep_main)
{
	unsigned long way = (unsigned long)round % (sizeof(ways) / sizeof(ways[0]));

	if (!keep_main || ways[way] != end_without_main)
		ways[way](round);
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

/* Mappings of the sampler and in all. */
static void mappings(unsigned *rings, unsigned *all)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");

	*rings = *all = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		*rings += strstr(line, "fragscope-ring") != NULL;
		++*all;
	}
	if (maps)
		fclose(maps);
}

static void report(const char *when)
{
	unsigned rings, all;

	mappings(&rings, &all);
	printf("%s %u %u %u\n", when, descriptors(), rings, all);
	fflush(stdout);
}

/* What it says is written when the program ends, which it must. */
static void *say_left(void *unused)
{
	(void)unused;
	usleep(300000);
	puts("left");
	return NULL;
}

static void leave(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, say_left, NULL))
		fail("pthread_create", 0);
	pthread_exit(NULL);
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 0;
	pthread_t worker[WORKERS];

	if (argc > 1 && !strcmp(argv[1], "leave"))
		leave();
	for (unsigned i = 0; i < WORKERS; i++)
		if (pthread_create(&worker[i], NULL, allocate, NULL))
			fail("pthread_create", -1);
	for (long round = -WARM_ROUNDS; round < rounds; round++) {
		if (!round)
			report("before");
		begin_and_end(round, argc > 2);
	}
	report("after");
	atomic_store(&ends, true);
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(worker[i], NULL);
	return 0;
}
