// basket.cc: a C++ program that says "ready PID" and grows its heap by one mapped chunk for
// each line on stdin, from a member of a template in a namespace.
#include <cstdio>
#include <unistd.h>
#include <vector>

namespace shop
{
template <class T> class Basket
{
	std::vector<std::vector<T>> rows;

      public:
	__attribute__((noinline)) void fill(unsigned long count)
	{
		rows.emplace_back();
		rows.back().reserve(count);
	}
};
} // namespace shop

int main()
{
	enum { COUNT = 300000 };
	static char text[4096];
	shop::Basket<int> basket;

	std::setvbuf(stdout, text, _IOFBF, sizeof(text));
	std::printf("ready %d\n", static_cast<int>(getpid()));
	std::fflush(stdout);
	for (char line[16]; read(STDIN_FILENO, line, sizeof(line)) > 0;) {
		basket.fill(COUNT);
		std::puts("ok");
		std::fflush(stdout);
	}
}
