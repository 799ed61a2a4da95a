/* waits.c: waits in one system call, KIND, for MS milliseconds (0: without end), and says
 * what it got, errno, and for how long it waited: "RESULT ERRNO MS". What it waits for,
 * if anything, comes when a byte comes on standard input: another thread reads that, and
 * ends by itself. With "beside" that thread is there for a wait of MS milliseconds, too,
 * and then waits so long for what does not come. With "timer" in its place libc has a
 * thread for a timer. It has free memory. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/sched.h>
#include <linux/time_types.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int pipe_fd[2], socket_fd[2], listen_fd = -1, port;
static atomic_int word;
static int timeout_ms;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static double now_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static struct timespec span(void)
{
	return (struct timespec){timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
}

static void limit_socket(int fd)
{
	struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static long wait_read(void)
{
	char byte;

	return read(pipe_fd[0], &byte, 1);
}

static long wait_nanosleep(void)
{
	struct timespec time = timeout_ms ? span() : (struct timespec){.tv_sec = 1000};

	return nanosleep(&time, NULL);
}

static long wait_remaining(void)
{
	struct timespec time = span(), left;

	return nanosleep(&time, &left);
}

static long wait_until_time(void)
{
	struct timespec time = span(), now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now.tv_sec += time.tv_sec + (now.tv_nsec + time.tv_nsec) / 1000000000;
	now.tv_nsec = (now.tv_nsec + time.tv_nsec) % 1000000000;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL);
}

static long wait_condition(void)
{
	struct timespec time = span(), now;
	int result;

	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += time.tv_sec + (now.tv_nsec + time.tv_nsec) / 1000000000;
	now.tv_nsec = (now.tv_nsec + time.tv_nsec) % 1000000000;
	pthread_mutex_lock(&mutex);
	do
		result = timeout_ms ? pthread_cond_timedwait(&condition, &mutex, &now)
				    : pthread_cond_wait(&condition, &mutex);
	while (!result && !word);
	pthread_mutex_unlock(&mutex);
	return result;
}

static long wait_futex(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static long wait_epoll(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = epoll_create1(0);

	epoll_ctl(fd, EPOLL_CTL_ADD, pipe_fd[0], &event);
	return epoll_wait(fd, &event, 1, timeout_ms ? timeout_ms : -1);
}

static long wait_poll(void)
{
	struct pollfd fd = {.fd = pipe_fd[0], .events = POLLIN};

	return poll(&fd, 1, timeout_ms ? timeout_ms : -1);
}

static long wait_select(void)
{
	struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(pipe_fd[0], &set);
	return select(pipe_fd[0] + 1, &set, NULL, NULL, timeout_ms ? &limit : NULL);
}

static long wait_accept(void)
{
	limit_socket(listen_fd);
	return accept(listen_fd, NULL, NULL) > 0 ? 1 : -1;
}

static long wait_recvmsg(void)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	limit_socket(socket_fd[0]);
	return recvmsg(socket_fd[0], &message, 0);
}

static volatile sig_atomic_t noted;

static void note(int signal)
{
	noted = signal;
}

/* For SIGUSR1, which is let in nowhere else. */
static long wait_sigsuspend(void)
{
	struct sigaction action = {.sa_handler = note};
	sigset_t one, none;

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&none);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	sigprocmask(SIG_BLOCK, &one, NULL);
	noted = 0;
	while (!noted)
		sigsuspend(&none);
	return noted == SIGUSR1;
}

/* Its child has its memory until then. */
static long wait_vfork(void)
{
	pid_t child = vfork();

	if (child == 0) {
		poll(NULL, 0, timeout_ms);
		_exit(0);
	}
	return waitpid(child, NULL, 0) == child ? 0 : -1;
}

/* Without libc: the child has the parent's stack. */
static inline __attribute__((always_inline)) long clone_with(struct clone_args *args,
							     size_t bytes)
{
#ifdef __aarch64__
	register long number __asm__("x8") = SYS_clone3;
	register long result __asm__("x0") = (long)args;
	register size_t size __asm__("x1") = bytes;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(size) : "memory");
#else
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(args), "S"(bytes)
			 : "rcx", "r11", "memory");
#endif
	return result;
}

/* The same, but nothing shows that until there is a byte in the pipe. */
static long wait_hidden(void)
{
	static struct clone_args args;
	long child;
	char byte;

	args = (struct clone_args){.flags = CLONE_VM | CLONE_VFORK,
				   .exit_signal = SIGCHLD};
	child = clone_with(&args, sizeof(args));
	if (child == 0) {
		args.flags = 0;
		syscall(SYS_exit, read(pipe_fd[0], &byte, 1) != 1);
	}
	return waitpid((pid_t)child, NULL, 0) == child ? 0 : -1;
}

/* Waits for ever, and by its frame information was called by itself, and so on. */
void circle(void);
#ifdef __aarch64__
__asm__(".text\n"
	".type circle, %function\n"
	"circle: .cfi_startproc\n"
	"stp x29, x30, [sp, -16]!\n"
	".cfi_def_cfa_offset 16\n"
	".cfi_offset 29, -16\n"
	".cfi_offset 30, -8\n"
	"adr x0, 1f\n"
	"str x0, [sp, 8]\n"
	"mov x19, sp\n"
	".cfi_def_cfa x19, 16\n"
	"1: mov x8, 73\n"
	"mov x0, 0\n"
	"mov x1, 0\n"
	"mov x2, 0\n"
	"mov x3, 0\n"
	"svc 0\n"
	"b 1b\n"
	".cfi_endproc\n"
	".size circle, . - circle\n");
#else
__asm__(".text\n"
	".type circle, @function\n"
	"circle: .cfi_startproc\n"
	"push %rbp\n"
	"mov %rsp, %rbp\n"
	".cfi_def_cfa rbp, 16\n"
	"lea 1f(%rip), %rax\n"
	"mov %rax, 8(%rbp)\n"
	"1: mov $34, %eax\n"
	"syscall\n"
	"jmp 1b\n"
	".cfi_endproc\n"
	".size circle, . - circle\n");
#endif

static long wait_circle(void)
{
	circle();
	return 0;
}

static void *map_ring(int ring, size_t bytes, off_t what)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, what);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Lets a thread of the kernel's wait (io_uring): the result is that one's. It is made by
 * a call with a timeout, and by what /proc shows of it is in that for ever. */
static long wait_worker(void)
{
	struct io_uring_params params = {0};
	const struct __kernel_timespec soon = {.tv_nsec = 1000000};
	const struct io_uring_getevents_arg until = {.ts = (uintptr_t)&soon};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params), to[2];
	char *sq, *cq;
	struct io_uring_sqe *sqe;
	const struct io_uring_cqe *cqe;
	const _Atomic uint32_t *done;

	if (ring < 0 || pipe(to))
		return -1;
	sq = map_ring(ring, params.sq_off.array + sizeof(uint32_t), IORING_OFF_SQ_RING);
	cq = map_ring(ring, params.cq_off.cqes + sizeof(*cqe), IORING_OFF_CQ_RING);
	sqe = map_ring(ring, sizeof(*sqe), IORING_OFF_SQES);
	if (!sq || !cq || !sqe)
		return -1;
	*sqe = (struct io_uring_sqe){
		.opcode = IORING_OP_SPLICE,
		.fd = to[1],
		.off = UINT64_MAX,
		.splice_fd_in = pipe_fd[0],
		.splice_off_in = UINT64_MAX,
		.len = 1,
	};
	*(_Atomic uint32_t *)(sq + params.sq_off.tail) = 1;
	syscall(SYS_io_uring_enter, ring, 1, 1,
		IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &until, sizeof(until));
	done = (const _Atomic uint32_t *)(cq + params.cq_off.tail);
	while (!*done)
		poll(NULL, 0, 1);
	cqe = (const struct io_uring_cqe *)(cq + params.cq_off.cqes);
	errno = 0;
	return cqe->res;
}

/* Timeouts of sockets are counted in ticks, which come late on a machine that stands:
 * such a wait has all of its time by the clock that goes by ticks, too. */
static const struct kind {
	const char *name;
	long (*wait)(void);
	clockid_t clock;
} kinds[] = {
	{"read", wait_read, CLOCK_MONOTONIC},
	{"nanosleep", wait_nanosleep, CLOCK_MONOTONIC},
	{"remaining", wait_remaining, CLOCK_MONOTONIC},
	{"until", wait_until_time, CLOCK_MONOTONIC},
	{"condition", wait_condition, CLOCK_MONOTONIC},
	{"futex", wait_futex, CLOCK_MONOTONIC},
	{"epoll", wait_epoll, CLOCK_MONOTONIC},
	{"poll", wait_poll, CLOCK_MONOTONIC},
	{"select", wait_select, CLOCK_MONOTONIC},
	{"accept", wait_accept, CLOCK_MONOTONIC_COARSE},
	{"recvmsg", wait_recvmsg, CLOCK_MONOTONIC_COARSE},
	{"vfork", wait_vfork, CLOCK_MONOTONIC},
	{"sigsuspend", wait_sigsuspend, CLOCK_MONOTONIC},
	{"hidden", wait_hidden, CLOCK_MONOTONIC},
	{"circle", wait_circle, CLOCK_MONOTONIC},
	{"worker", wait_worker, CLOCK_MONOTONIC},
};

static void *give(void *unused)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	char byte;
	int fd;

	if (read(0, &byte, 1) != 1)
		return unused;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	connect(fd, (struct sockaddr *)&to, sizeof(to));
	if (write(pipe_fd[1], "x", 1) != 1 || write(socket_fd[1], "x", 1) != 1)
		abort();
	pthread_mutex_lock(&mutex);
	word = 1;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
	syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
	if (timeout_ms) {
		limit_socket(socket_fd[1]);
		recv(socket_fd[1], &byte, 1, 0);
	}
	return NULL;
}

static void make_sockets(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET};
	socklen_t bytes = sizeof(addr);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listen_fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listen_fd, 4) ||
	    getsockname(listen_fd, (struct sockaddr *)&addr, &bytes) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, socket_fd) || pipe(pipe_fd))
		abort();
	port = ntohs(addr.sin_port);
}

/* It never does. */
static void expire(union sigval unused)
{
	(void)unused;
}

static void wait_once(const struct kind *kind)
{
	double before = now_ms(kind->clock);
	long result;

	errno = 0;
	result = kind->wait();
	printf("%ld %d %.3f\n", result, errno, now_ms(kind->clock) - before);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	enum { COUNT = 5000, BYTES = 1000 };
	static char *block[COUNT];
	struct sigevent event = {.sigev_notify = SIGEV_THREAD,
				 .sigev_notify_function = expire};
	pthread_t giver;
	timer_t timer;

	if (argc < 4)
		return 2;
	timeout_ms = atoi(argv[2]);
	for (int i = 0; i < COUNT; i++)
		block[i] = memset(malloc(BYTES), 1, BYTES);
	for (int i = 0; i < COUNT; i++)
		if (i % 50)
			free(block[i]);
	make_sockets();
	if (argc > 4 && strcmp(argv[4], "timer") == 0)
		timer_create(CLOCK_MONOTONIC, &event, &timer);
	else if (!timeout_ms || argc > 4)
		pthread_create(&giver, NULL, give, NULL);
	printf("ready\n");
	fflush(stdout);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].name, argv[1]) != 0)
			continue;
		for (int times = atoi(argv[3]); times > 0; times--)
			wait_once(&kinds[i]);
	}
	return 0;
}
