#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "the number of this architecture is in linux/audit.h"
#endif

/* What libelf, libdw, stdio and malloc need, and a reading of memory. */
static const unsigned allowed[] = {
	SYS_read,
	SYS_pread64,
	SYS_readv,
	SYS_write,
	SYS_writev,
	SYS_close,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_lseek,
	SYS_fcntl,
	SYS_ioctl,
	SYS_getdents64,
	SYS_readlinkat,
	SYS_faccessat,
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise,
	SYS_brk,
	SYS_process_vm_readv,
	SYS_futex,
	SYS_clock_gettime,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getrandom,
	SYS_sysinfo,
	SYS_uname,
	SYS_prlimit64,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_rt_sigprocmask,
	SYS_rt_sigaction,
	SYS_rt_sigreturn,
	SYS_exit,
	SYS_exit_group,
#ifdef __x86_64__
	SYS_stat,
	SYS_lstat,
	SYS_readlink,
	SYS_access,
	SYS_getrlimit,
	SYS_setrlimit,
#endif
};

/* Those that open; the argument that has the flags. */
static const struct {
	unsigned call, flags;
} opens[] = {
	{SYS_openat, 2},
#ifdef __x86_64__
	{SYS_open, 1},
#endif
};

enum {
	ALLOWED = sizeof(allowed) / sizeof(*allowed),
	OPENS = sizeof(opens) / sizeof(*opens),
	OPEN_STEPS = 5,
	STEPS = 4 + 2 * ALLOWED + OPEN_STEPS * OPENS + 1,
	CHANGES = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND,
};

struct filter {
	struct sock_filter step[STEPS];
	unsigned short count;
};

static void add(struct filter *filter, struct sock_filter step)
{
	filter->step[filter->count++] = step;
}

static void load(struct filter *filter, size_t offset)
{
	add(filter,
	    (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

/* The next STEPS are passed over unless the word loaded last is VALUE. */
static void if_equal(struct filter *filter, unsigned value, unsigned char steps)
{
	add(filter,
	    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, steps));
}

static void end(struct filter *filter, unsigned verdict)
{
	add(filter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void write_filter(struct filter *filter)
{
	const unsigned refused = SECCOMP_RET_ERRNO | EPERM;

	load(filter, offsetof(struct seccomp_data, arch));
	add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
	end(filter, SECCOMP_RET_KILL_PROCESS);
	load(filter, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < ALLOWED; i++) {
		if_equal(filter, allowed[i], 1);
		end(filter, SECCOMP_RET_ALLOW);
	}
	for (unsigned i = 0; i < OPENS; i++) {
		if_equal(filter, opens[i].call, OPEN_STEPS - 1);
		/* The lower half, on processors that have it in front. */
		load(filter, offsetof(struct seccomp_data, args) + 8 * opens[i].flags);
		add(filter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
							 CHANGES, 1, 0));
		end(filter, SECCOMP_RET_ALLOW);
		end(filter, refused);
	}
	end(filter, refused);
}

int confine_to_reading(void)
{
	struct filter filter = {.count = 0};
	struct sock_fprog program;

	write_filter(&filter);
	program = (struct sock_fprog){.len = filter.count, .filter = filter.step};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return -errno;
	return 0;
}
