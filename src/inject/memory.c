#include "inject/memory.h"

#include <errno.h>
#include <sys/uio.h>

int inject_read(const struct process *process, uint64_t addr, void *to, size_t bytes)
{
	const struct iovec local = {to, bytes};
	const struct iovec remote = {(void *)(uintptr_t)addr, bytes};
	ssize_t got = process_vm_readv(process->pid, &local, 1, &remote, 1, 0);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}
