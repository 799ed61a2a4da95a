// storm.cc: 16 threads that allocate and check what they have put there, throw exceptions,
// fork and wait for children, and load and unload a library (the argument), while a signal
// comes 1000 times a second; or as many threads and microseconds between signals as the next
// arguments say. On a line on standard input it ends, and prints "ok" with what
// it did, or what was wrong.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

static std::atomic<bool> ends{false};
static std::atomic<const char *> wrong{nullptr};
static std::atomic<long> allocated, thrown, forked, loaded, signals;

static void fail(const char *what)
{
	wrong = what;
}

static void on_signal(int)
{
	signals++;
}

// Of a thread's own random numbers.
struct Random {
	uint64_t state;
	uint64_t next()
	{
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		return state;
	}
};

struct Block {
	size_t bytes;
	uint8_t fill;
	uint8_t *at;
};

static void check(const Block &block)
{
	for (size_t i = 0; i < block.bytes; i += 61)
		if (block.at[i] != block.fill)
			return fail("a block has changed");
}

static void allocate(Random &random, std::vector<Block> &blocks)
{
	for (int i = 0; i < 50; i++) {
		Block &block = blocks[random.next() % blocks.size()];

		if (block.at) {
			check(block);
			free(block.at);
		}
		block.bytes = 1 + random.next() % 3000;
		block.fill = (uint8_t)random.next();
		block.at = (uint8_t *)malloc(block.bytes);
		memset(block.at, block.fill, block.bytes);
	}
	allocated += 50;
}

__attribute__((noinline)) static double throw_deep(int depth, double value)
{
	if (!depth)
		throw value;
	return throw_deep(depth - 1, value * 1.5) + 1;
}

static void catch_one(Random &random)
{
	double value = (double)(random.next() % 1000), want = value;

	for (int i = 0; i < 10; i++)
		want *= 1.5;
	try {
		throw_deep(10, value);
		fail("nothing was thrown");
	} catch (double got) {
		if (got != want)
			fail("what was thrown has changed");
	}
	thrown++;
}

static void fork_one()
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		free(malloc(5000));
		_exit(42);
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 42)
		fail("a child");
	forked++;
}

static void load_one(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW);

	if (!handle)
		return fail("dlopen");
	dlclose(handle);
	loaded++;
}

static void work(int number, const char *library)
{
	Random random{0x9e3779b97f4a7c15u * (uint64_t)(number + 1)};
	std::vector<Block> blocks(300, Block{});

	while (!ends) {
		errno = 1000 + number;
		catch_one(random);
		if (errno != 1000 + number)
			fail("errno");
		allocate(random, blocks);
		if (number == 0)
			fork_one();
		if (number == 1)
			load_one(library);
		usleep(2000 + random.next() % 8000);
	}
	for (Block &block : blocks)
		if (block.at) {
			check(block);
			free(block.at);
		}
}

int main(int argc, char **argv)
{
	struct sigaction action = {};
	int count = argc > 2 ? atoi(argv[2]) : 16, us = argc > 3 ? atoi(argv[3]) : 1000;
	struct itimerval every = {{0, us}, {0, us}};
	std::vector<std::thread> threads;
	char byte;

	if (argc < 2)
		return 2;
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &action, nullptr);
	setitimer(ITIMER_REAL, &every, nullptr);
	for (int i = 0; i < count; i++)
		threads.emplace_back(work, i, argv[1]);
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) < 0 && errno == EINTR)
		;
	ends = true;
	for (std::thread &thread : threads)
		thread.join();
	printf("%s: %ld allocated, %ld thrown, %ld forked, %ld loaded, %ld signals\n",
	       wrong ? wrong.load() : "ok", allocated.load(), thrown.load(), forked.load(),
	       loaded.load(), signals.load());
	return wrong != nullptr;
}
