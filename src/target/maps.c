#include "target/maps.h"

#include "base/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPS_BUFFER = 64 << 10 };

static bool number(char **at, int base, char end, uint64_t *value)
{
	char *stop;

	*value = strtoull(*at, &stop, base);
	if (stop == *at || *stop != end)
		return false;
	*at = stop + 1;
	return true;
}

static unsigned permissions(const char *text)
{
	return (text[0] == 'r' ? MAP_READ : 0) | (text[1] == 'w' ? MAP_WRITE : 0) |
	       (text[2] == 'x' ? MAP_EXEC : 0) | (text[3] == 's' ? MAP_IS_SHARED : 0);
}

int maps_parse(char *line, struct mapping *mapping)
{
	char *at = line;

	if (!number(&at, 16, '-', &mapping->start) ||
	    !number(&at, 16, ' ', &mapping->end))
		return -EPROTO;
	if (mapping->end <= mapping->start || strlen(at) < 5 || at[4] != ' ')
		return -EPROTO;
	mapping->flags = permissions(at);
	at += 5;
	if (!number(&at, 16, ' ', &mapping->offset))
		return -EPROTO;
	at = strchr(at, ' '); /* the device */
	if (!at)
		return -EPROTO;
	mapping->inode = strtoull(at, &at, 10);
	mapping->name = at + strspn(at, " ");
	return 0;
}

/* Hands every whole line of TEXT to FN and returns how much of it was used. */
static int scan_lines(char *text, size_t length, size_t *used, mapping_fn *fn,
		      void *context)
{
	struct mapping mapping;
	char *line = text, *newline;
	int result = 0;

	while (!result && (newline = memchr(line, '\n', text + length - line))) {
		*newline = '\0';
		result = maps_parse(line, &mapping);
		if (!result)
			result = fn(&mapping, context);
		line = newline + 1;
	}
	*used = line - text;
	return result;
}

int maps_scan(const struct process *process, mapping_fn *fn, void *context)
{
	char buffer[MAPS_BUFFER];
	size_t held = 0, used;
	off_t offset = 0;

	for (;;) {
		ssize_t got = pread(process->maps_fd, buffer + held,
				    sizeof(buffer) - held, offset);
		int result;

		if (got < 0)
			return -errno;
		if (got == 0)
			return offset == 0 ? -ESRCH : held ? -EPROTO : 0;
		offset += got;
		held += got;
		result = scan_lines(buffer, held, &used, fn, context);
		if (result)
			return result;
		held -= used;
		memmove(buffer, buffer + used, held);
		if (held == sizeof(buffer))
			return -EPROTO;
	}
}

bool maps_is_anonymous(const struct mapping *mapping)
{
	const unsigned want = MAP_READ | MAP_WRITE;

	if (mapping->inode || (mapping->flags & (want | MAP_IS_SHARED)) != want)
		return false;
	return !mapping->name[0] || strncmp(mapping->name, "[anon", 5) == 0;
}

bool maps_is_glibc(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return !strncmp(name, "libc.so.", strlen("libc.so.")) ||
	       !strncmp(name, "libc-2.", strlen("libc-2."));
}

/* The name is the target's to choose: what the caller may not read is not read for it. */
static int open_by_name(const struct process *process, const char *name)
{
	struct privilege before;
	char path[64];
	int root, fd;

	snprintf(path, sizeof(path), "/proc/%d/root", process->pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	before = privilege_lower();
	fd = openat(root, name + strspn(name, "/"), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	privilege_restore(before);
	close(root);
	return fd;
}

int maps_open(const struct process *process, const struct mapping *mapping)
{
	char path[128];
	struct stat stat;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", process->pid,
		 (unsigned long long)mapping->start, (unsigned long long)mapping->end);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || (errno != EPERM && errno != EACCES))
		return fd >= 0 ? fd : -errno;
	fd = open_by_name(process, mapping->name);
	if (fd < 0)
		return -EPERM;
	if (fstat(fd, &stat) == 0 && stat.st_ino == mapping->inode)
		return fd;
	close(fd);
	return -EPERM;
}
