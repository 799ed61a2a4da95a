#include "target/limits.h"

#include "base/file.h"

#include <errno.h>
#include <stddef.h>

enum { MEMINFO_BYTES = 8192 };

static int read_overcommit(struct limits *limits)
{
	uint64_t mode;
	int error = file_number("/proc/sys/vm/overcommit_memory", &mode);

	if (error)
		return error;
	if (mode > OVERCOMMIT_NEVER)
		return -EPROTO;
	limits->overcommit = (enum overcommit)mode;
	return 0;
}

int limits_parse_memory(const char *text, struct limits *limits)
{
	const struct {
		const char *line;
		uint64_t *bytes;
	} fields[] = {
		{"MemTotal", &limits->ram_bytes},
		{"SwapTotal", &limits->swap_bytes},
		{"MemAvailable", &limits->available_bytes},
		{"SwapFree", &limits->swap_free_bytes},
		{"CommitLimit", &limits->commit_limit_bytes},
		{"Committed_AS", &limits->committed_bytes},
	};
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(fields) / sizeof(*fields); i++) {
		error = file_field(text, fields[i].line, fields[i].bytes);
		*fields[i].bytes <<= 10;
	}
	return error;
}

static int read_memory(struct limits *limits)
{
	char text[MEMINFO_BYTES];
	int error = file_text("/proc/meminfo", text, sizeof(text));

	return error ? error : limits_parse_memory(text, limits);
}

static int read_reserves(struct limits *limits)
{
	uint64_t admin_kib, user_kib;
	int error = file_number("/proc/sys/vm/admin_reserve_kbytes", &admin_kib);

	if (!error)
		error = file_number("/proc/sys/vm/user_reserve_kbytes", &user_kib);
	if (error)
		return error;
	limits->admin_reserve_bytes = admin_kib << 10;
	limits->user_reserve_bytes = user_kib << 10;
	return 0;
}

static int read_map_count(struct limits *limits)
{
	return file_number("/proc/sys/vm/max_map_count", &limits->max_map_count);
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
