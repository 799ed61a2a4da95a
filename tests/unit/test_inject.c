/* test_inject.c: which system calls are made again, and how; and what lies on the stack
 * of a thread that makes a call. x86-64. */
#include "inject/chain.h"
#include "inject/restart.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

#include <linux/futex.h>

enum { AGAIN = 514, BLOCK = 516 };

static struct user_regs_struct regs_of(long number, long result)
{
	return (struct user_regs_struct){.orig_rax = (unsigned long long)number,
					 .rax = (unsigned long long)result,
					 .rip = 0x1002,
					 .rsp = 0x7ffff000,
					 .cs = 0x33,
					 .ss = 0x2b};
}

static void test_in_user_mode_nothing_is_made_again(void **state)
{
	struct user_regs_struct regs = regs_of(-1, -AGAIN);

	(void)state;
	assert_int_equal(restart_of(&regs), RESTART_NONE);
	assert_false(restart_mend(&regs));
	regs = regs_of(SYS_read, 5);
	assert_int_equal(restart_of(&regs), RESTART_NONE);
	regs = regs_of(SYS_openat, -EINTR);
	assert_int_equal(restart_of(&regs), RESTART_NONE);
	assert_false(restart_mend(&regs));
}

static void test_what_the_kernel_makes_again(void **state)
{
	(void)state;
	for (int result = 512; result <= 514; result++) {
		struct user_regs_struct regs = regs_of(SYS_read, -result);

		assert_int_equal(restart_of(&regs), RESTART_AGAIN);
		assert_false(restart_mend(&regs));
	}
}

static void test_a_timed_call_only_where_its_end_is_known(void **state)
{
	struct user_regs_struct regs = regs_of(SYS_poll, -BLOCK);

	(void)state;
	regs.rdx = (unsigned)-1;
	assert_int_equal(restart_of(&regs), RESTART_AGAIN);
	assert_int_equal(restart_timed(&regs), TIMED_NOT);
	assert_true(restart_mend(&regs));
	assert_int_equal((long)regs.rax, -AGAIN);
	regs = regs_of(SYS_poll, -BLOCK);
	regs.rdx = 1000;
	assert_int_equal(restart_of(&regs), RESTART_NEVER);
	assert_int_equal(restart_timed(&regs), TIMED_KERNEL);
	assert_false(restart_mend(&regs));
	regs = regs_of(SYS_futex, -BLOCK);
	regs.rsi = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
	assert_int_equal(restart_of(&regs), RESTART_AGAIN);
	regs.rsi = FUTEX_WAIT | FUTEX_PRIVATE_FLAG;
	assert_int_equal(restart_of(&regs), RESTART_NEVER);
	regs = regs_of(SYS_restart_syscall, -BLOCK);
	assert_int_equal(restart_of(&regs), RESTART_NEVER);
}

static void test_a_sleep_has_what_is_left(void **state)
{
	struct user_regs_struct regs = regs_of(SYS_clock_nanosleep, -BLOCK);

	(void)state;
	regs.rdx = 0x1000;
	assert_int_equal(restart_of(&regs), RESTART_NEVER);
	assert_int_equal(restart_timed(&regs), TIMED_KERNEL);
	regs.r10 = 0x2000;
	assert_int_equal(restart_of(&regs), RESTART_SLEEP);
	assert_int_equal(restart_sleep_left(&regs), 0x2000);
	assert_int_equal(*restart_sleep_request(&regs), 0x1000);
	regs.rsi = TIMER_ABSTIME;
	regs.r10 = 0;
	assert_int_equal(restart_timed(&regs), TIMED_NOT);
}

static void test_what_a_stop_ends_is_made_again(void **state)
{
	struct user_regs_struct regs = regs_of(SYS_epoll_wait, -EINTR);

	(void)state;
	regs.r10 = (unsigned)-1;
	assert_int_equal(restart_of(&regs), RESTART_AGAIN);
	assert_true(restart_mend(&regs));
	assert_int_equal((long)regs.rax, -AGAIN);
	regs = regs_of(SYS_epoll_wait, -EINTR);
	regs.r10 = 1000;
	assert_int_equal(restart_of(&regs), RESTART_NEVER);
	assert_int_equal(restart_timed(&regs), TIMED_ENDED);
	assert_true(restart_shorten(&regs, 400999999));
	assert_int_equal(regs.r10, 600);
	assert_true(restart_shorten(&regs, 5000000000));
	assert_int_equal(regs.r10, 0);
	regs = regs_of(SYS_recvmsg, -EINTR);
	assert_int_equal(restart_of(&regs), RESTART_AGAIN);
	assert_int_equal(restart_socket_option(&regs), SO_RCVTIMEO);
	assert_true(restart_mend(&regs));
	regs = regs_of(SYS_connect, -EINTR);
	assert_int_equal(restart_socket_option(&regs), SO_SNDTIMEO);
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
		.regs = regs_of(SYS_read, -512),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_user_mode_nothing_is_made_again),
		cmocka_unit_test(test_what_the_kernel_makes_again),
		cmocka_unit_test(test_a_timed_call_only_where_its_end_is_known),
		cmocka_unit_test(test_a_sleep_has_what_is_left),
		cmocka_unit_test(test_what_a_stop_ends_is_made_again),
		cmocka_unit_test(test_the_chain_on_a_stack),
		cmocka_unit_test(test_what_cannot_be_kept_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
