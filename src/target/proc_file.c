/* proc_file.c: files of /proc/PID that are read by number alone. */
#include "target/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t process_text(int pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		length = -errno;
	close(fd);
	text[length < 0 ? 0 : length] = '\0';
	return length;
}

ssize_t process_line(int pid, const char *name, char *text, size_t size)
{
	ssize_t length = process_text(pid, name, text, size);

	if (length > 0 && text[length - 1] == '\n')
		text[--length] = '\0';
	return length;
}

/* By status: what is under /proc/PID belongs to root when the process is not dumpable. */
int process_user(int pid, uid_t *uid)
{
	static const char key[] = "\nUid:";
	char text[4096];
	const char *line;
	ssize_t length = process_text(pid, "status", text, sizeof(text));

	if (length < 0)
		return (int)length;
	line = strstr(text, key);
	if (!line)
		return -EPROTO;
	*uid = (uid_t)strtoul(line + strlen(key), NULL, 10);
	return 0;
}

int process_range(int pid, enum process_range range, uint64_t *from, uint64_t *to)
{
	char text[4096], *field;
	ssize_t length = process_text(pid, "stat", text, sizeof(text));

	if (length < 0)
		return (int)length;
	/* The name in brackets may hold anything. */
	field = strrchr(text, ')');
	for (unsigned i = 2; field && i < range; i++)
		field = strchr(field + 1, ' ');
	if (!field)
		return -EPROTO;
	*from = strtoull(field, &field, 10);
	*to = strtoull(field, NULL, 10);
	return *from && *from < *to ? 0 : -ENODATA;
}
