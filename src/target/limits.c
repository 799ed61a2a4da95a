#include "target/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMINFO_BYTES = 8192, NUMBER_BYTES = 32 };

/* The beginning of FILE, of which ROOM bytes with the NUL are kept. 0 or -errno. */
static int read_text(const char *file, char *text, size_t room)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		got = read(fd, text + length, room - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	} while (got > 0 || (got < 0 && errno == EINTR));
	got = got < 0 ? -errno : 0;
	close(fd);
	text[length] = '\0';
	return (int)got;
}

static int read_number(const char *file, uint64_t *value)
{
	char text[NUMBER_BYTES], *end;
	int error = read_text(file, text, sizeof(text));

	if (error)
		return error;
	*value = strtoull(text, &end, 10);
	return end == text ? -EPROTO : 0;
}

static int read_overcommit(struct limits *limits)
{
	uint64_t mode;
	int error = read_number("/proc/sys/vm/overcommit_memory", &mode);

	if (error)
		return error;
	if (mode > OVERCOMMIT_NEVER)
		return -EPROTO;
	limits->overcommit = (enum overcommit)mode;
	return 0;
}

static int read_memory(struct limits *limits)
{
	const struct {
		const char *line;
		uint64_t *bytes;
	} fields[] = {
		{"\nMemTotal:", &limits->ram_bytes},
		{"\nSwapTotal:", &limits->swap_bytes},
		{"\nCommitLimit:", &limits->commit_limit_bytes},
		{"\nCommitted_AS:", &limits->committed_bytes},
	};
	char text[MEMINFO_BYTES] = "\n"; /* so that each line has one before it */
	int error = read_text("/proc/meminfo", text + 1, sizeof(text) - 1);

	for (size_t i = 0; !error && i < sizeof(fields) / sizeof(*fields); i++) {
		const char *at = strstr(text, fields[i].line);

		if (!at)
			return -EPROTO;
		*fields[i].bytes = strtoull(at + strlen(fields[i].line), NULL, 10) << 10;
	}
	return error;
}

static int read_reserves(struct limits *limits)
{
	uint64_t admin_kib, user_kib;
	int error = read_number("/proc/sys/vm/admin_reserve_kbytes", &admin_kib);

	if (!error)
		error = read_number("/proc/sys/vm/user_reserve_kbytes", &user_kib);
	if (error)
		return error;
	limits->admin_reserve_bytes = admin_kib << 10;
	limits->user_reserve_bytes = user_kib << 10;
	return 0;
}

static int read_map_count(struct limits *limits)
{
	return read_number("/proc/sys/vm/max_map_count", &limits->max_map_count);
}

int limits_read(struct limits *limits)
{
	static const struct {
		enum limits_part part;
		int (*read)(struct limits *limits);
	} parts[] = {
		{LIMITS_HAS_OVERCOMMIT, read_overcommit},
		{LIMITS_HAS_MEMORY, read_memory},
		{LIMITS_HAS_RESERVES, read_reserves},
		{LIMITS_HAS_MAP_COUNT, read_map_count},
	};
	int first = 0;

	*limits = (struct limits){0};
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		int error = parts[i].read(limits);

		if (!error)
			limits->has |= parts[i].part;
		else if (!first)
			first = error;
	}
	return first;
}
