#include "ipc/shared.h"

#include "target/maps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int from_process(const struct shared *shared, uint64_t offset, void *to,
			size_t bytes)
{
	struct iovec here = {to, bytes};
	struct iovec there = {(void *)(uintptr_t)(shared->addr + offset), bytes};
	ssize_t got = process_vm_readv(shared->pid, &here, 1, &there, 1, 0);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}

static int from_file(const struct shared *shared, uint64_t offset, void *to, size_t bytes)
{
	ssize_t got = pread(shared->fd, to, bytes, (off_t)offset);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}

int shared_read(const struct shared *shared, uint64_t offset, void *to, size_t bytes)
{
	return shared->fd >= 0 ? from_file(shared, offset, to, bytes)
			       : from_process(shared, offset, to, bytes);
}

static bool is_file(int fd, uint64_t inode)
{
	struct stat file;

	return !fstat(fd, &file) && file.st_ino == inode && S_ISREG(file.st_mode);
}

/* The file at NAME of PROCESS's directory in /proc if it is that of INODE, or -1. */
static int open_file(const struct process *process, const char *name, uint64_t inode)
{
	char path[320];
	int fd, file;

	snprintf(path, sizeof(path), "/proc/%d/%s", process->pid, name);
	/* No other kind of file is opened, which might wait or do something by that. */
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!is_file(fd, inode)) {
		close(fd);
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return file;
}

static int from_descriptors(const struct process *process, uint64_t inode)
{
	char name[280];
	struct dirent *entry;
	DIR *dir;
	int fd = -1;

	snprintf(name, sizeof(name), "/proc/%d/fd", process->pid);
	dir = opendir(name);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "fd/%s", entry->d_name);
		fd = open_file(process, name, inode);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* By whichever way the kernel allows: each has rules of its own. */
static int open_memory(const struct process *process, const struct mapping *mapping)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
		 mapping->end);
	fd = open_file(process, name, mapping->inode);
	return fd >= 0 ? fd : from_descriptors(process, mapping->inode);
}

/* A program may map memory of this name as it likes: the first that is taken counts. */
struct shared_search {
	struct shared *shared;
	const struct process *process;
	const char *name;
	shared_judge_fn *judge;
	void *context;
	int result;
};

static int look_at(const struct mapping *mapping, void *context)
{
	struct shared_search *search = context;
	struct shared *shared = search->shared;

	if (strcmp(mapping->name, search->name) != 0 || mapping->offset ||
	    !(mapping->flags & MAP_IS_SHARED))
		return 0;
	shared->addr = mapping->start;
	shared->fd = open_memory(search->process, mapping);
	search->result =
		search->judge(shared, mapping->end - mapping->start, search->context);
	if (search->result)
		shared_close(shared);
	return !search->result;
}

int shared_find(struct shared *shared, const struct process *process, const char *name,
		shared_judge_fn *judge, void *context)
{
	struct shared_search search = {shared, process, name, judge, context, -ENOENT};
	int result;

	*shared = (struct shared){.pid = process->pid, .fd = -1};
	result = maps_scan(process, look_at, &search);
	return result < 0 ? result : search.result;
}

void shared_close(struct shared *shared)
{
	if (shared->fd >= 0)
		close(shared->fd);
	shared->fd = -1;
}
