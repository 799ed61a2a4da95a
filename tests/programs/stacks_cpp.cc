// stacks_cpp.cc: the like in C++, whose names are mangled.
#include <cstddef>
#include <sys/syscall.h>
#include <unistd.h>

namespace shapes
{

template <class T> struct Box {
	T *volatile held = nullptr;

	__attribute__((noinline)) void fill(std::size_t count)
	{
		held = new T[count];
		__asm__ volatile("" ::: "memory");
	}
};

} // namespace shapes

int main()
{
	shapes::Box<int> box;

	syscall(SYS_getppid);
	box.fill(1 << 20);
	syscall(SYS_getppid);
	return box.held ? 0 : 1;
}
