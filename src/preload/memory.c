#include "preload/memory.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

enum { DESCRIPTOR = 900 };

static int open_memory(const char *name)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = syscall(SYS_memfd_create, name, flags | MFD_NOEXEC_SEAL);

	if (fd < 0) /* a kernel before 6.3 */
		fd = syscall(SYS_memfd_create, name, flags);
	return (int)fd;
}

/* Nobody can change its size: a reader that maps it comes to no harm. */
static void *map_memory(int fd, size_t bytes)
{
	long memory;

	if (syscall(SYS_ftruncate, fd, (long)bytes))
		return NULL;
	memory = syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 0L);
	if (memory == -1)
		return NULL;
	if (syscall(SYS_madvise, memory, bytes, MADV_DONTFORK)) {
		syscall(SYS_munmap, memory, bytes);
		return NULL;
	}
	syscall(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return (void *)memory;
}

/* For readers, at a number where no host looks for its own; nothing here uses it. */
static void keep_descriptor(struct memory_fd *kept, int fd)
{
	kept->fd = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, (long)DESCRIPTOR);
	if (kept->fd >= 0)
		syscall(SYS_fstat, kept->fd, &kept->file);
}

void *memory_make(const char *name, size_t bytes, struct memory_fd *kept)
{
	int fd = open_memory(name);
	void *memory;

	kept->fd = -1;
	if (fd < 0)
		return NULL;
	memory = map_memory(fd, bytes);
	if (memory)
		keep_descriptor(kept, fd);
	syscall(SYS_close, fd);
	return memory;
}

void memory_drop(struct memory_fd *kept)
{
	struct stat file;

	if (kept->fd >= 0 && !syscall(SYS_fstat, kept->fd, &file) &&
	    file.st_ino == kept->file.st_ino && file.st_dev == kept->file.st_dev)
		syscall(SYS_close, kept->fd);
	kept->fd = -1;
}
