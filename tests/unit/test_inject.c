/* test_inject.c: which system calls are made again, and how; whose beginning was seen;
 * and what lies on the stack of a thread that makes a call. x86-64. */
#include "inject/chain.h"
#include "inject/parts.h"
#include "inject/restart.h"
#include "inject/waits.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/futex.h>

enum { AGAIN = 514, BLOCK = 516 };

static struct system_call call_of(long number, long result)
{
	return (struct system_call){.number = number, .result = result};
}

static void test_in_user_mode_nothing_is_made_again(void **state)
{
	struct system_call call = call_of(-1, -AGAIN);

	(void)state;
	assert_int_equal(restart_of(&call), RESTART_NONE);
	assert_false(restart_is_to_mend(&call));
	call = call_of(SYS_read, 5);
	assert_int_equal(restart_of(&call), RESTART_NONE);
	call = call_of(SYS_openat, -EINTR);
	assert_int_equal(restart_of(&call), RESTART_NONE);
	assert_false(restart_is_to_mend(&call));
}

static void test_what_the_kernel_makes_again(void **state)
{
	(void)state;
	for (int result = 512; result <= 514; result++) {
		struct system_call call = call_of(SYS_read, -result);

		assert_int_equal(restart_of(&call), RESTART_AGAIN);
		assert_false(restart_is_to_mend(&call));
	}
}

static void test_a_timed_call_only_where_its_end_is_known(void **state)
{
	struct system_call call = call_of(SYS_poll, -BLOCK);

	(void)state;
	call.arg[2] = (unsigned)-1;
	assert_int_equal(restart_of(&call), RESTART_AGAIN);
	assert_int_equal(restart_timed(&call), TIMED_NOT);
	assert_true(restart_is_to_mend(&call));
	call = call_of(SYS_poll, -BLOCK);
	call.arg[2] = 1000;
	assert_int_equal(restart_of(&call), RESTART_NEVER);
	assert_int_equal(restart_timed(&call), TIMED_KERNEL);
	assert_false(restart_is_to_mend(&call));
	call = call_of(SYS_futex, -BLOCK);
	call.arg[1] = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
	assert_int_equal(restart_of(&call), RESTART_AGAIN);
	call.arg[1] = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
	assert_int_equal(restart_of(&call), RESTART_NEVER);
	call = call_of(SYS_restart_syscall, -BLOCK);
	assert_int_equal(restart_of(&call), RESTART_NEVER);
}

static void test_a_sleep_has_what_is_left(void **state)
{
	struct system_call call = call_of(SYS_clock_nanosleep, -BLOCK);

	(void)state;
	call.arg[2] = 0x1000;
	assert_int_equal(restart_of(&call), RESTART_NEVER);
	assert_int_equal(restart_timed(&call), TIMED_KERNEL);
	call.arg[3] = 0x2000;
	assert_int_equal(restart_of(&call), RESTART_SLEEP);
	assert_int_equal(restart_sleep_left(&call), 0x2000);
	assert_int_equal(*restart_sleep_request(&call), 0x1000);
	call.arg[1] = TIMER_ABSTIME;
	call.arg[3] = 0;
	assert_int_equal(restart_timed(&call), TIMED_NOT);
}

static void test_what_a_stop_ends_is_made_again(void **state)
{
	struct system_call call = call_of(SYS_epoll_wait, -EINTR);

	(void)state;
	call.arg[3] = (unsigned)-1;
	assert_int_equal(restart_of(&call), RESTART_AGAIN);
	assert_true(restart_is_to_mend(&call));
	call = call_of(SYS_epoll_wait, -EINTR);
	call.arg[3] = 1000;
	assert_int_equal(restart_of(&call), RESTART_NEVER);
	assert_int_equal(restart_timed(&call), TIMED_ENDED);
	assert_true(restart_shorten(&call, 400999999));
	assert_int_equal(call.arg[3], 600);
	assert_true(restart_shorten(&call, 5000000000));
	assert_int_equal(call.arg[3], 0);
	call = call_of(SYS_recvmsg, -EINTR);
	assert_int_equal(restart_of(&call), RESTART_AGAIN);
	assert_int_equal(restart_socket_option(&call), SO_RCVTIMEO);
	assert_true(restart_is_to_mend(&call));
	call = call_of(SYS_connect, -EINTR);
	assert_int_equal(restart_socket_option(&call), SO_SNDTIMEO);
}

/* A child that waits for a byte, and then in epoll_wait for 1000 s. */
static pid_t start_waiting(int *to)
{
	int fds[2];
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		struct epoll_event event;
		char byte;
		int fd = epoll_create1(0);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(read(fds[0], &byte, 1) != 1 || epoll_wait(fd, &event, 1, 1000000));
	}
	close(fds[0]);
	*to = fds[1];
	return child;
}

static bool is_in(pid_t pid, long number, long other)
{
	char text[256];
	long now = -1;

	if (process_text(pid, "syscall", text, sizeof(text)) > 0)
		now = strtol(text, NULL, 10);
	return *text != 'r' && (now == number || now == other);
}

static void test_a_beginning_between_far_looks_was_not_seen(void **state)
{
	const struct inject_libc libc = {.code_end = UINT64_MAX};
	struct waits waits = {.libc = &libc};
	struct process process;
	struct fault fault;
	const char *why;
	pid_t tid;
	int to;
	pid_t child = start_waiting(&to);

	(void)state;
	assert_int_equal(process_open(&process, child, &fault), 0);
	waits.process = &process;
	while (!is_in(child, SYS_read, SYS_read))
		usleep(1000);
	assert_int_equal(waits_look(&waits, NULL, NULL), 0);
	assert_true(waits_allow_stop(&waits, &tid, &why));
	assert_int_equal(write(to, "x", 1), 1);
	while (!is_in(child, SYS_epoll_wait, SYS_epoll_pwait))
		usleep(1000);
	usleep(20000);
	assert_int_equal(waits_look(&waits, NULL, NULL), 0);
	assert_false(waits_allow_stop(&waits, &tid, &why));
	assert_int_equal(tid, child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(to);
	process_close(&process);
	waits_free(&waits);
}

enum { XSAVE_BYTES = 2696, STEP_BYTES = 312, IP_AT = 8 + 40 + 128, SP_AT = IP_AT - 8 };

static uint64_t word_at(const struct call_chain *chain, uint64_t offset)
{
	uint64_t word;

	memcpy(&word, chain->byte + offset, sizeof(word));
	return word;
}

static void test_the_chain_on_a_stack(void **state)
{
	const struct inject_libc libc = {.restorer = 0xaaaa, .syscall_ret = 0xbbbb};
	static uint8_t vector[XSAVE_BYTES];
	static struct call_chain chain;
	struct chain_call call = {
		.libc = &libc,
		.regs = {.orig_rax = SYS_read,
			 .rax = (unsigned long long)-512,
			 .rip = 0x1002,
			 .rsp = 0x7ffff000,
			 .cs = 0x33,
			 .ss = 0x2b},
		.again = call_of(SYS_read, -512),
		.signal_mask = 0x55,
		.vector = vector,
		.vector_bytes = sizeof(vector),
		.errno_value = 77,
		.function = 0xcccc,
		.restart = RESTART_AGAIN,
		.nonce = 0x80000001,
	};

	(void)state;
	assert_int_equal(chain_build(&call, &chain), 0);
	/* All of it is below the red zone. */
	assert_true(chain.addr + chain.bytes <= call.regs.rsp - 128);
	assert_int_equal(chain.start.rip, libc.restorer);
	assert_int_equal(chain.start.rsp, chain.addr + 8);
	assert_int_equal((long)chain.start.orig_rax, -1);
	/* The function is entered as by a call, and returns to the restorer. */
	assert_int_equal(word_at(&chain, IP_AT), call.function);
	assert_int_equal(word_at(&chain, SP_AT), chain.addr + STEP_BYTES);
	assert_int_equal(word_at(&chain, SP_AT) % 16, 8);
	assert_int_equal(word_at(&chain, STEP_BYTES), libc.restorer);
	assert_int_equal(word_at(&chain, STEP_BYTES + IP_AT), libc.syscall_ret);
	assert_int_equal(word_at(&chain, 2 * STEP_BYTES + IP_AT), libc.syscall_ret);
	/* At last the system call is made again. */
	assert_int_equal(word_at(&chain, 3 * STEP_BYTES + IP_AT), call.regs.rip - 2);
	assert_int_equal(word_at(&chain, 3 * STEP_BYTES + SP_AT), call.regs.rsp);
	assert_int_equal(word_at(&chain, 4 * STEP_BYTES - 8), call.signal_mask);
	assert_int_equal(word_at(&chain, STEP_BYTES - 8), UINT64_MAX);
	assert_int_equal((uint32_t)word_at(&chain, chain.done_addr - chain.addr),
			 call.nonce);
}

static void test_what_cannot_be_kept_is_refused(void **state)
{
	static uint8_t vector[XSAVE_BYTES];
	static struct call_chain chain;
	const struct inject_libc libc = {0};
	struct chain_call call = {.libc = &libc, .vector = vector, .vector_bytes = 100};

	(void)state;
	assert_int_equal(chain_build(&call, &chain), -EPROTO);
	assert_true(chain_can_keep(0) && chain_can_keep(133) && chain_can_keep(-2048));
	assert_false(chain_can_keep(2048) || chain_can_keep(-2049));
}

/* Without the limit it goes on until the alarm. Where the priority is not permitted that
 * the limit is there must do. */
static void run_first_for_long(void)
{
	struct rlimit limit;

	alarm(20);
	inject_run_first(true);
	getrlimit(RLIMIT_RTTIME, &limit);
	if (sched_getscheduler(0) != SCHED_FIFO)
		_exit(limit.rlim_max == 1000000 ? 0 : 1);
	for (;;)
		__asm__ volatile("");
}

static void test_who_runs_first_for_long_is_killed(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (!child)
		run_first_for_long();
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	else
		assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_user_mode_nothing_is_made_again),
		cmocka_unit_test(test_what_the_kernel_makes_again),
		cmocka_unit_test(test_a_timed_call_only_where_its_end_is_known),
		cmocka_unit_test(test_a_sleep_has_what_is_left),
		cmocka_unit_test(test_what_a_stop_ends_is_made_again),
		cmocka_unit_test(test_a_beginning_between_far_looks_was_not_seen),
		cmocka_unit_test(test_the_chain_on_a_stack),
		cmocka_unit_test(test_what_cannot_be_kept_is_refused),
		cmocka_unit_test(test_who_runs_first_for_long_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
