#include "engine/lent.h"

#include "base/privilege.h"
#include "engine/sampler.h"
#include "target/maps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

#define LINK "/memfd:" SAMPLER_LIBRARY " (deleted)"

enum { PIECE_BYTES = 64 << 10 };

/* A kernel from 6.3 on may refuse a memfd that could be executed as a program. */
unsigned lent_flags(void)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create(SAMPLER_LIBRARY, flags | MFD_NOEXEC_SEAL);

	if (fd < 0)
		return flags;
	close(fd);
	return flags | MFD_NOEXEC_SEAL;
}

/* ---- finding it ---- */

/* The file system that all memfds are of, which no path leads to. */
static bool memory_device(dev_t *device)
{
	struct stat file;
	int fd = memfd_create("fragscope", MFD_CLOEXEC);
	bool is_known = fd >= 0 && !fstat(fd, &file);

	if (fd >= 0)
		close(fd);
	*device = is_known ? file.st_dev : 0;
	return is_known;
}

/* The descriptor NUMBER of PROCESS, without right to its contents, if it is a memfd of
 * the library's name; or -1. A program that runs with more rights than its caller must
 * not take a file for one because of a name that the caller has given it. */
static int open_it(const struct process *process, int number, struct stat *file)
{
	char path[64], link[sizeof(LINK) + 1];
	dev_t device;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", process->pid, number);
	length = readlink(path, link, sizeof(link));
	if (length != sizeof(LINK) - 1 || memcmp(link, LINK, (size_t)length) != 0)
		return -1;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, link, sizeof(link));
	if (length == sizeof(LINK) - 1 && memcmp(link, LINK, (size_t)length) == 0 &&
	    !fstat(fd, file) && memory_device(&device) && file->st_dev == device)
		return fd;
	close(fd);
	return -1;
}

bool lent_find(struct lent *lent, const struct process *process)
{
	char path[64];
	struct dirent *entry;
	DIR *dir;

	*lent = (struct lent){.process = process, .number = -1};
	snprintf(path, sizeof(path), "/proc/%d/fd", process->pid);
	dir = opendir(path);
	while (dir && lent->number < 0 && (entry = readdir(dir))) {
		int number = (int)strtol(entry->d_name, NULL, 10);
		struct stat file;
		int fd = open_it(process, number, &file);

		if (fd < 0)
			continue;
		close(fd);
		lent->number = number;
		lent->inode = file.st_ino;
	}
	if (dir)
		closedir(dir);
	return lent->number >= 0;
}

bool lent_is_there(void *context)
{
	const struct lent *lent = context;
	struct stat file;
	int fd = open_it(lent->process, lent->number, &file);

	if (fd < 0)
		return false;
	close(fd);
	return file.st_ino == lent->inode;
}

/* ---- filling it ---- */

/* With the caller's own rights, which suffice for a memfd. */
static int open_to_write(const struct lent *lent)
{
	struct privilege before;
	struct stat file;
	char path[64];
	int fd = open_it(lent->process, lent->number, &file), memory;

	if (fd < 0)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	before = privilege_lower();
	memory = open(path, O_RDWR | O_CLOEXEC);
	if (memory < 0)
		memory = -errno;
	privilege_restore(before);
	close(fd);
	return memory;
}

static int copy(int from, int to)
{
	char piece[PIECE_BYTES];
	off_t at = 0;
	ssize_t got;

	if (ftruncate(to, 0))
		return -errno;
	while ((got = pread(from, piece, sizeof(piece), at)) > 0) {
		ssize_t put = pwrite(to, piece, (size_t)got, at);

		if (put != got)
			return put < 0 ? -errno : -EIO;
		at += got;
	}
	return got < 0 ? -errno : 0;
}

static bool are_equal(int one, int other)
{
	char a[PIECE_BYTES / 2], b[PIECE_BYTES / 2];
	off_t at = 0;

	for (;;) {
		ssize_t got = pread(one, a, sizeof(a), at);

		if (got < 0 || pread(other, b, sizeof(b), at) != got ||
		    memcmp(a, b, (size_t)got) != 0)
			return false;
		if (!got)
			return true;
		at += got;
	}
}

/* One that somebody has filled before, and could not load, is sealed. */
static int fill(int memory, int library)
{
	const int seals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int sealed = fcntl(memory, F_GET_SEALS), error;

	if (sealed < 0)
		return -errno;
	if (sealed & F_SEAL_WRITE)
		return are_equal(library, memory) ? 0 : -EBUSY;
	error = copy(library, memory);
	if (!error && fcntl(memory, F_ADD_SEALS, seals))
		error = -errno;
	return error;
}

int lent_fill(const struct lent *lent, int library)
{
	int memory = open_to_write(lent), error;

	if (memory < 0)
		return memory;
	error = fill(memory, library);
	close(memory);
	return error;
}

/* ---- whether it can be loaded ---- */

/* Later calls must look into the library, of which there is no other file. */
static int open_mapped(const struct mapping *mapping, void *context)
{
	const struct process *process = context;
	char path[128];
	int fd;

	if (!mapping->inode || !(mapping->flags & MAP_EXEC))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", process->pid,
		 (unsigned long long)mapping->start, (unsigned long long)mapping->end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 1;
}

const char *lent_obstacle(const struct process *process)
{
	struct process copy = *process;
	struct statfs files;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root/proc", process->pid);
	if (statfs(path, &files) || files.f_type != PROC_SUPER_MAGIC)
		return "no /proc is there, by which it could load a copy";
	if (maps_scan(process, open_mapped, &copy) != 1)
		return "to read a copy takes CAP_SYS_ADMIN or "
		       "CAP_CHECKPOINT_RESTORE";
	return NULL;
}
