/* test_confine.c: what a child that reads for strangers may still do. */
#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct tried {
	char secret[8]; /* of a file that only its owner may read */
	uint64_t word;	/* of another process */
	bool has_memory;
	uid_t user;
	int write, create, socket, exec, kill, fork, write_memory, trace, user_back;
};

struct places {
	char path[64];
	pid_t parent;
	uint64_t word;
};

static int error_of(long result)
{
	return result < 0 ? errno : 0;
}

static void read_things(const struct places *places, struct tried *tried)
{
	struct iovec to = {&tried->word, sizeof(tried->word)};
	struct iovec from = {(void *)(uintptr_t)&places->word, sizeof(places->word)};
	int fd = open(places->path, O_RDONLY | O_CLOEXEC);
	char *memory = malloc(32 << 20);

	if (fd >= 0 && read(fd, tried->secret, sizeof(tried->secret) - 1) < 0)
		tried->secret[0] = '\0';
	if (process_vm_readv(places->parent, &to, 1, &from, 1, 0) < 0)
		tried->word = 0;
	tried->has_memory = memory != NULL;
}

static void try_all(void *context, void *result)
{
	const struct places *places = context;
	struct tried *tried = result;
	char *const none[] = {NULL};
	struct iovec to = {(void *)(uintptr_t)&places->word, sizeof(places->word)};
	struct iovec from = {&tried->word, sizeof(tried->word)};

	read_things(places, tried);
	tried->user = geteuid();
	tried->write = error_of(open(places->path, O_WRONLY | O_CLOEXEC));
	tried->create = error_of(open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	tried->socket = error_of(socket(AF_UNIX, SOCK_STREAM, 0));
	tried->exec = error_of(execve("/bin/true", none, none));
	tried->kill = error_of(kill(places->parent, 0));
	tried->fork = error_of(fork());
	tried->write_memory =
		error_of(process_vm_writev(places->parent, &from, 1, &to, 1, 0));
	tried->trace = error_of(ptrace(PTRACE_SEIZE, places->parent, 0, 0));
	tried->user_back = error_of(setresuid(0, 0, 0));
}

static void reading_is_all_that_is_left(void **state)
{
	struct places places = {"/tmp/fragscope-confine-XXXXXX", getpid(), 42};
	atomic_ulong beats = 0;
	struct tried tried;
	int fd = mkstemp(places.path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "secret", 6), 6);
	assert_int_equal(subprocess_run(try_all, &places, &tried, sizeof(tried), &beats),
			 0);
	unlink(places.path);
	close(fd);
	assert_string_equal(tried.secret, "secret");
	/* Yama keeps a child of no rights from its parent's memory. */
	if (!geteuid())
		assert_int_equal(tried.word, 42);
	assert_true(tried.has_memory);
	assert_int_not_equal(tried.user, 0);
	const int *refused[] = {&tried.write,	     &tried.create, &tried.socket,
				&tried.exec,	     &tried.kill,   &tried.fork,
				&tried.write_memory, &tried.trace,  &tried.user_back};

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(*refused[i], EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reading_is_all_that_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
