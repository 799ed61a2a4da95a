#include "probe/preflight.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* linux/capability.h. */
enum {
	CAPABILITY_SYS_ADMIN = 21,
	CAPABILITY_PERFMON = 38,
	CAPABILITY_BPF = 39,
};

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static int aloud(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	return vfprintf(stderr, format, args);
}

void preflight_verbose(bool verbose)
{
	libbpf_set_print(verbose ? aloud : silent);
}

const char *preflight_library(void)
{
	/* It begins with a v. */
	return libbpf_version_string() + 1;
}

const char *preflight_probes(void)
{
	return "growth, failures, thresholds, kills";
}

static uint64_t effective_capabilities(void)
{
	char line[256];
	uint64_t set = 0;
	FILE *file = fopen("/proc/thread-self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "CapEff:", 7))
			set = strtoull(line + 7, NULL, 16);
	if (file)
		fclose(file);
	return set;
}

static int check_capabilities(struct fault *fault)
{
	uint64_t set = effective_capabilities();
	bool bpf = set >> CAPABILITY_BPF & 1, perfmon = set >> CAPABILITY_PERFMON & 1;

	if (set >> CAPABILITY_SYS_ADMIN & 1 || (bpf && perfmon))
		return 0;
	return fault_set(
		fault, EXIT_NOT_PERMITTED, -EPERM,
		"cannot load eBPF probes: %s missing; run as root, or once: setcap "
		"cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep on the "
		"fragscope program",
		bpf	  ? "CAP_PERFMON is"
		: perfmon ? "CAP_BPF is"
			  : "CAP_BPF and CAP_PERFMON are");
}

/* In the confidentiality mode the kernel lets nobody read its memory, probes neither. */
static int check_lockdown(struct fault *fault)
{
	char text[128] = "";
	int fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	if (!strstr(text, "[confidentiality]"))
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -EPERM,
			 "cannot load eBPF probes: the kernel is locked down "
			 "(confidentiality): boot it with lockdown=integrity or without");
}

/* How many parameters the tracepoint NAME has, and the type of the first; negative when
 * the kernel has no such tracepoint. */
static int tracepoint(const struct btf *btf, const char *name, bool *first_is_pointer)
{
	char type_name[64];
	const struct btf_type *type;
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF);
	type = id < 0 ? NULL : btf__type_by_id(btf, id);
	type = type ? btf__type_by_id(btf, type->type) : NULL; /* the pointer */
	type = type ? btf__type_by_id(btf, type->type) : NULL; /* the prototype */
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 2)
		return -ENOENT;
	/* The first parameter is the tracepoint's own. */
	*first_is_pointer = btf_is_ptr(btf__type_by_id(btf, btf_params(type)[1].type));
	return btf_vlen(type) - 1;
}

static int check_tracepoints(struct preflight *found, struct fault *fault)
{
	struct btf *btf = btf__load_vmlinux_btf();
	struct utsname kernel;
	bool pointer = false;
	int parameters;

	uname(&kernel);
	if (!btf)
		return fault_set(fault, EXIT_NO_SOURCE, -ENOENT,
				 "cannot load eBPF probes: kernel %s has no BTF "
				 "(/sys/kernel/btf/vmlinux): it must be built with "
				 "CONFIG_DEBUG_INFO_BTF=y",
				 kernel.release);
	found->victim_is_task = tracepoint(btf, "mark_victim", &pointer) > 0 && pointer;
	parameters = tracepoint(btf, "mmap_lock_acquire_returned", &pointer);
	btf__free(btf);
	found->lock_has_path = parameters == 4;
	if (parameters == 3 || parameters == 4)
		return 0;
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "cannot load eBPF probes: kernel %s has no tracepoint "
			 "mmap_lock:mmap_lock_acquire_returned: Linux 5.15 or later is "
			 "needed, with CONFIG_TRACEPOINTS=y",
			 kernel.release);
}

/* A kernel without it has no BTF either: that is the lesser reason. */
static int check_bpf(struct fault *fault)
{
	struct utsname kernel;

	if (!syscall(SYS_bpf, 0, NULL, 0) || errno != ENOSYS)
		return 0;
	uname(&kernel);
	return fault_set(
		fault, EXIT_NO_SOURCE, -ENOSYS,
		"cannot load eBPF probes: kernel %s has no bpf(), or a filter of "
		"system calls says so: it must be built with CONFIG_BPF_SYSCALL=y",
		kernel.release);
}

/* A trial: the smallest program that uses the newest helper. */
static int check_load(struct fault *fault)
{
	struct utsname kernel;
	int known;

	errno = 0;
	known = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_RAW_TRACEPOINT, NULL);
	if (known != 1)
		return fault_set(
			fault, EXIT_NOT_PERMITTED, -EPERM,
			"cannot load eBPF probes: the kernel refuses bpf() although "
			"the capabilities are there: a container's seccomp filter, a "
			"security module or another user namespace; run on the host");
	known = libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT,
					BPF_FUNC_task_pt_regs, NULL);
	if (known == 1)
		return 0;
	uname(&kernel);
	return fault_set(
		fault, EXIT_NO_SOURCE, -ENOTSUP,
		"cannot load eBPF probes: kernel %s is too old: Linux 5.15 or later "
		"is needed",
		kernel.release);
}

int preflight(struct preflight *found, struct fault *fault)
{
	int error = check_capabilities(fault);

	/* What libbpf says by itself would get onto the screen of top. */
	if (libbpf_set_print(silent) == aloud)
		libbpf_set_print(aloud);
	if (!error)
		error = check_lockdown(fault);
	if (!error)
		error = check_bpf(fault);
	if (!error)
		error = check_tracepoints(found, fault);
	return error ? error : check_load(fault);
}
