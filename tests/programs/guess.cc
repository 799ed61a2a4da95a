// guess.cc: a C++ program with chunks of several kinds. It says "ready PID", then one
// line a chunk, "NAME ADDR" in hex, and waits until its input ends.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>

namespace shop
{
template <class T> struct Basket {
	virtual ~Basket() = default;
	virtual T sum()
	{
		return item;
	}
	T item = 7;
	char room[100];
};
} // namespace shop

struct operations {
	void (*open)();
	void (*close)();
};

static void nothing()
{
}
extern "C" {
struct operations tcp_operations = {nothing, nothing};
}

static void tell(const char *name, const void *chunk)
{
	std::printf("%s %lx\n", name, reinterpret_cast<unsigned long>(chunk));
}

int main()
{
	static char text[4096];
	char *request = static_cast<char *>(std::calloc(1, 200));
	char *word = static_cast<char *>(std::calloc(1, 24));
	auto **connection = static_cast<struct operations **>(std::calloc(1, 200));
	auto **loop = static_cast<void **>(std::calloc(1, 200));
	void *zeroes = std::calloc(1, 200);
	/* A pointer whose bytes are "PEDCBA". */
	auto **letters = static_cast<void **>(std::calloc(1, 200));
	void *page = mmap(reinterpret_cast<void *>(0x414243444000), 4096,
			  PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	std::setvbuf(stdout, text, _IOFBF, sizeof(text));
	std::strcpy(request, "GET /index.html HTTP/1.1\r\nHost: example.org\r\n");
	std::strcpy(word, "pomelo");
	*connection = &tcp_operations;
	*loop = loop;
	if (page == MAP_FAILED)
		return 1;
	std::memset(page, 1, 4096);
	*letters = static_cast<char *>(page) + 0x550;
	std::printf("ready %d\n", static_cast<int>(getpid()));
	tell("object", new shop::Basket<int>);
	tell("request", request);
	tell("word", word);
	tell("connection", connection);
	tell("loop", loop);
	tell("zeroes", zeroes);
	tell("letters", letters);
	std::fflush(stdout);
	for (char line[16]; read(STDIN_FILENO, line, sizeof(line)) > 0;)
		continue;
}
