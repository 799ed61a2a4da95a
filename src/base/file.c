#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NUMBER_BYTES = 32 };

int file_bytes(const char *file, char *text, size_t room, size_t *length)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	text[0] = '\0';
	*length = 0;
	if (fd < 0)
		return -errno;
	do {
		got = read(fd, text + *length, room - 1 - *length);
		*length += got > 0 ? (size_t)got : 0;
	} while (got > 0 || (got < 0 && errno == EINTR));
	got = got < 0 ? -errno : 0;
	close(fd);
	text[*length] = '\0';
	return (int)got;
}

int file_text(const char *file, char *text, size_t room)
{
	size_t length;

	return file_bytes(file, text, room, &length);
}

/* strtoull would take a sign. */
static int number_at(const char *text, uint64_t *value)
{
	if (*text < '0' || *text > '9')
		return -EPROTO;
	errno = 0;
	*value = strtoull(text, NULL, 10);
	return -errno;
}

int file_number(const char *file, uint64_t *value)
{
	char text[NUMBER_BYTES];
	int error = file_text(file, text, sizeof(text));

	return error ? error : number_at(text, value);
}

int file_field(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length) == 0 && strspn(line + length, ": \t"))
			return number_at(line + length + strspn(line + length, ": \t"),
					 value);
	}
	return -EPROTO;
}
