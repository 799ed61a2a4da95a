#include "target/bounds.h"

#include "base/file.h"
#include "target/cgroup.h"
#include "target/limits.h"
#include "target/pressure.h"
#include "target/process.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_BYTES = 8192 };

int bounds_parse_rlimits(const char *text, struct rlimits *rlimit)
{
	const struct {
		const char *line;
		uint64_t *bytes;
	} fields[] = {
		{"Max address space", &rlimit->address_space_bytes},
		{"Max data size", &rlimit->data_bytes},
		{"Max stack size", &rlimit->stack_bytes},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const char *at = strstr(text, fields[i].line);

		if (!at)
			return -EPROTO;
		at += strlen(fields[i].line);
		at += strspn(at, " ");
		*fields[i].bytes = UINT64_MAX;
		if (strncmp(at, "unlimited", strlen("unlimited")) != 0 &&
		    file_field(text, fields[i].line, fields[i].bytes))
			return -EPROTO;
	}
	return 0;
}

int bounds_parse_sizes(const char *text, struct bounds *bounds)
{
	const struct {
		const char *line;
		uint64_t *bytes;
	} fields[] = {
		{"VmSize", &bounds->total_vm_bytes},
		{"VmData", &bounds->data_vm_bytes},
		{"VmStk", &bounds->stack_vm_bytes},
	};
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(fields) / sizeof(*fields); i++) {
		error = file_field(text, fields[i].line, fields[i].bytes);
		*fields[i].bytes <<= 10;
	}
	return error;
}

static int read_rlimits(int pid, struct bounds *bounds)
{
	char text[TEXT_BYTES];
	ssize_t got = process_text(pid, "limits", text, sizeof(text));

	return got < 0 ? (int)got : bounds_parse_rlimits(text, &bounds->rlimit);
}

static int read_sizes(int pid, struct bounds *bounds)
{
	char text[TEXT_BYTES];
	ssize_t got = process_text(pid, "status", text, sizeof(text));

	return got < 0 ? (int)got : bounds_parse_sizes(text, bounds);
}

int bounds_parse_stack_pointer(const char *text, uint64_t *address)
{
	const char *end = strrchr(text, ' '), *at = end;

	/* The last two words: the stack pointer and where the thread is. */
	while (at && at > text && at[-1] != ' ')
		at--;
	if (!end || at == text || sscanf(at, "0x%" SCNx64 " 0x", address) != 1)
		return strncmp(text, "running", strlen("running")) == 0 ? -EAGAIN
									: -EPROTO;
	return 0;
}

/* -EAGAIN: it runs; -ENODATA: it is on a stack of its own making. */
static int read_depth(int pid, struct bounds *bounds)
{
	uint64_t address, from, top;
	char text[TEXT_BYTES];
	ssize_t got = process_text(pid, "syscall", text, sizeof(text));
	int error = got < 0 ? (int)got : bounds_parse_stack_pointer(text, &address);

	if (!error)
		error = process_range(pid, PROCESS_ENVIRONMENT, &from, &top);
	if (error)
		return error;
	if (address >= top || top - address > bounds->stack_vm_bytes)
		return -ENODATA;
	bounds->stack_bytes = top - address;
	return 0;
}

/* A stack never becomes smaller, and Ruby touches the end of its own at the start: one
 * that was long once is no sign that the thread is deep in it. */
static int read_stack(int pid, struct bounds *bounds)
{
	const unsigned needed = BOUNDS_HAS_RLIMITS | BOUNDS_HAS_SIZES;

	if ((bounds->has & needed) != needed)
		return -ENODATA;
	bounds->stack_bytes = bounds->stack_vm_bytes;
	if (bounds->stack_vm_bytes > bounds->rlimit.stack_bytes / 2)
		return read_depth(pid, bounds);
	return 0;
}

static int read_cgroup(int pid, struct bounds *bounds)
{
	return cgroup_memory_read(pid, &bounds->cgroup);
}

static int read_pressure(int pid, struct bounds *bounds)
{
	(void)pid;
	return pressure_read("/proc/pressure/memory", &bounds->pressure);
}

int bounds_read(int pid, struct bounds *bounds)
{
	static const struct {
		enum bounds_part part;
		int (*read)(int pid, struct bounds *bounds);
	} parts[] = {
		{BOUNDS_HAS_RLIMITS, read_rlimits},   {BOUNDS_HAS_SIZES, read_sizes},
		{BOUNDS_HAS_STACK, read_stack},	      {BOUNDS_HAS_CGROUP, read_cgroup},
		{BOUNDS_HAS_PRESSURE, read_pressure},
	};
	int first;

	*bounds = (struct bounds){0};
	first = limits_read(&bounds->host);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		int error = parts[i].read(pid, bounds);

		if (!error)
			bounds->has |= parts[i].part;
		else if (!first)
			first = error;
	}
	return first;
}
