#include "probe/multi.h"

#include "probe/preflight.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* linux/bpf.h of Linux 6.6: older headers and libraries lack them. */
enum {
	ATTACH_UPROBE_MULTI = 48,
	UPROBE_MULTI_RETURN = 1, /* a flag */
};

/* bpf(BPF_LINK_CREATE)'s attributes for a uprobe_multi link. */
struct link_attributes {
	uint32_t program_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_counter_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t uprobe_flags;
	uint32_t pid;
	uint32_t padding;
};

static bool has_enumerator(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, "bpf_attach_type", BTF_KIND_ENUM);
	const struct btf_type *type = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (unsigned i = 0; type && i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), name))
			return true;
	return false;
}

int multi_lacks(const char *what, struct fault *fault)
{
	struct utsname kernel;

	uname(&kernel);
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "cannot probe malloc in bursts: kernel %s %s", kernel.release,
			 what);
}

int multi_check(struct fault *fault)
{
	struct preflight found;
	struct btf *btf;
	bool multi, built;
	int error = preflight(&found, fault);

	if (error)
		return error;
	btf = btf__load_vmlinux_btf();
	if (!btf)
		return multi_lacks("has no BTF (/sys/kernel/btf/vmlinux)", fault);
	multi = has_enumerator(btf, "BPF_TRACE_UPROBE_MULTI");
	built = btf__find_by_name_kind(btf, "bpf_uprobe_multi_link", BTF_KIND_STRUCT) > 0;
	btf__free(btf);
	if (!multi)
		return multi_lacks("has no uprobe_multi: Linux 6.6 or later is needed",
				   fault);
	if (!built)
		return multi_lacks("was built without CONFIG_UPROBE_EVENTS=y", fault);
	return 0;
}

void multi_choose(struct bpf_program *program, bool is_wanted)
{
	bpf_program__set_autoload(program, is_wanted);
	bpf_program__set_expected_attach_type(program,
					      (enum bpf_attach_type)ATTACH_UPROBE_MULTI);
}

int multi_link(const struct bpf_program *program, bool at_return, pid_t pid,
	       const char *path, const uint64_t *offset, const uint64_t *cookie,
	       unsigned count)
{
	struct link_attributes attributes = {
		.program_fd = (uint32_t)bpf_program__fd(program),
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offset,
		.cookies = (uintptr_t)cookie,
		.count = count,
		.uprobe_flags = at_return ? UPROBE_MULTI_RETURN : 0,
		.pid = (uint32_t)pid,
	};
	long fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes));

	return fd < 0 ? -errno : (int)fd;
}
