/* stays.cc: a server of 16 threads, of whose allocations some stay: leak_session forgets
 * 64 bytes, answer has a string for a moment, twenty times as often, and remember puts
 * one in a cache that drops it after two seconds, just before the next: which then often
 * has the same address. Each line of input is answered by the bytes that were forgotten
 * so far, as chunks. */
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

enum { THREADS = 16, ANSWERS = 20, REST_US = 2000, SECONDS = 600, SESSION_CHUNK = 80 };

std::atomic<unsigned long> forgotten;

struct Session {
	char state[64];
};

struct Entry {
	Clock::time_point end;
	std::unique_ptr<char[]> text;
};

void use(const void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
}

__attribute__((noinline)) void leak_session()
{
	auto *session = new Session;

	memset(session->state, 1, sizeof(session->state));
	use(session);
	forgotten += SESSION_CHUNK;
}

__attribute__((noinline)) void answer()
{
	std::string text(500, 'x');

	use(text.data());
}

__attribute__((noinline)) void remember(std::deque<Entry> &cache)
{
	auto now = Clock::now();

	while (!cache.empty() && cache.front().end <= now)
		cache.pop_front();
	cache.push_back({now + std::chrono::seconds(2), std::make_unique<char[]>(128)});
	use(cache.back().text.get());
}

void serve()
{
	std::deque<Entry> cache;

	for (;;) {
		leak_session();
		for (int i = 0; i < ANSWERS; i++)
			answer();
		remember(cache);
		usleep(REST_US);
	}
}

} // namespace

int main()
{
	std::vector<std::thread> threads;

	alarm(SECONDS);
	for (int i = 0; i < THREADS; i++)
		threads.emplace_back(serve);
	printf("ready %d\n", static_cast<int>(getpid()));
	fflush(stdout);
	while (getchar() != EOF) {
		printf("%lu\n", forgotten.load());
		fflush(stdout);
	}
	_exit(0);
}
