/* ends.c: ends past the C library. `ends HOW STATUS`: raw, by the bare system call of its
 * only thread; worker, the same while another thread goes on for seconds; strict and
 * strict-group, in seccomp's strict mode, by the call that it allows and by one that it
 * does not; filter, by a filter that ends the thread alone; fork, as raw in a child whose
 * status it takes over. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNSUPPORTED = 77, WORK_US = 5000000 };

static int status;

static void raw(void)
{
	syscall(SYS_exit, status);
}

static void *work(void *unused)
{
	usleep(WORK_US);
	return unused;
}

static void worker(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, NULL))
		exit(UNSUPPORTED);
	raw();
}

static void go_strict(void)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0))
		exit(UNSUPPORTED);
}

static void strict(void)
{
	go_strict();
	raw();
}

static void strict_group(void)
{
	go_strict();
	syscall(SYS_exit_group, status);
}

static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		exit(UNSUPPORTED);
	syscall(SYS_getppid);
}

static void forked(void)
{
	int ended = 0;
	pid_t child = fork();

	if (!child)
		raw();
	while (waitpid(child, &ended, 0) < 0 && errno == EINTR)
		;
	exit(WIFEXITED(ended) ? WEXITSTATUS(ended) : UNSUPPORTED);
}

static const struct {
	const char *name;
	void (*end)(void);
} ways[] = {
	{"raw", raw},	    {"worker", worker},
	{"strict", strict}, {"strict-group", strict_group},
	{"filter", filter}, {"fork", forked},
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return UNSUPPORTED;
	status = atoi(argv[2]);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(argv[1], ways[i].name))
			ways[i].end();
	return UNSUPPORTED;
}
