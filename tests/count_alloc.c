/* count_alloc.c: preloaded into fragscope, counts what takes memory, and says at the end
 * how often that happened before row COUNT_FROM (2 unless set) and row COUNT_ROWS (1000
 * unless set) were written; with COUNT_NOW, when that last row is written. A row is a
 * write to standard output, or with COUNT_FILES to any file; with COUNT_PWRITES a pwrite
 * is one too, with COUNT_ACCEPTS a connection. What is allocated by the library whose
 * path has COUNT_APART in it is counted apart: calls and bytes from the first to the last
 * row. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_ulong calls, apart_calls, apart_bytes;
static unsigned long first_row = 2, last_row = 1000, rows, at_first, at_last;
static int say_now, count_files, count_pwrites, count_accepts;
static const char *apart;

static void say(void);

static void count(void *caller, size_t size)
{
	Dl_info info;

	if (apart && dladdr(caller, &info) && strstr(info.dli_fname, apart)) {
		apart_calls++;
		apart_bytes += size;
	} else {
		calls++;
	}
}

void *malloc(size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	count(__builtin_return_address(0), number * size);
	return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
	count(__builtin_return_address(0), size);
	return __libc_realloc(old, size);
}

char *strdup(const char *string)
{
	size_t size = strlen(string) + 1;
	char *copy = __libc_malloc(size);

	count(__builtin_return_address(0), size);
	return copy ? memcpy(copy, string, size) : NULL;
}

void *memalign(size_t alignment, size_t size)
{
	calls++;
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	*memory = memalign(alignment, size);
	return *memory ? 0 : 12;
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	calls++;
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

void *sbrk(intptr_t increment)
{
	void *(*next)(intptr_t) = (void *(*)(intptr_t))dlsym(RTLD_NEXT, "sbrk");

	calls++;
	return next(increment);
}

/* A thread takes a stack, by calls inside libc that cannot be seen from here. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
		   void *(*run)(void *), void *argument)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		(int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *),
			 void *))dlsym(RTLD_NEXT, "pthread_create");

	calls++;
	return next(thread, attributes, run, argument);
}

static void count_row(void)
{
	rows++;
	if (rows == first_row) {
		at_first = calls;
		apart_calls = apart_bytes = 0;
	}
	if (rows != last_row)
		return;
	at_last = calls;
	if (say_now)
		say();
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	if (fd == STDOUT_FILENO || (count_files && fd > STDERR_FILENO))
		count_row();
	return syscall(SYS_write, fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset)
{
	if (count_pwrites)
		count_row();
	return syscall(SYS_pwrite64, fd, bytes, length, offset);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	int connection = (int)syscall(SYS_accept4, fd, address, length, flags);

	if (count_accepts && connection >= 0)
		count_row();
	return connection;
}

__attribute__((constructor)) static void begin(void)
{
	const char *from = getenv("COUNT_FROM"), *wanted = getenv("COUNT_ROWS");

	if (from)
		first_row = strtoul(from, NULL, 10);
	count_files = getenv("COUNT_FILES") != NULL;
	if (wanted)
		last_row = strtoul(wanted, NULL, 10);
	count_pwrites = getenv("COUNT_PWRITES") != NULL;
	count_accepts = getenv("COUNT_ACCEPTS") != NULL;
	apart = getenv("COUNT_APART");
	say_now = getenv("COUNT_NOW") != NULL;
}

static void say(void)
{
	char line[128];
	int length = snprintf(line, sizeof(line),
			      "rows %lu before-first %lu before-last %lu "
			      "apart %lu calls %lu bytes\n",
			      rows, at_first, at_last, apart_calls, apart_bytes);

	syscall(SYS_write, STDERR_FILENO, line, (size_t)length);
}

__attribute__((destructor)) static void end(void)
{
	if (!say_now)
		say();
}
