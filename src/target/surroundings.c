#include "target/surroundings.h"

#include "base/file.h"
#include "target/bounds.h"
#include "target/cgroup.h"
#include "target/limits.h"
#include "target/process.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
	PROC_PATH = 64,
	TEXT = 4096,
	ENVIRONMENT = 1 << 20,
	BUILD_ID = 64,
};

__attribute__((format(printf, 3, 4))) static void
add(struct surroundings *surroundings, const char *name, const char *format, ...)
{
	struct surroundings_fact *fact = &surroundings->fact[surroundings->count];
	va_list list;

	if (surroundings->count == SURROUNDINGS_FACTS)
		return;
	snprintf(fact->name, sizeof(fact->name), "%s", name);
	va_start(list, format);
	vsnprintf(fact->value, sizeof(fact->value), format, list);
	va_end(list);
	surroundings->count++;
}

/* ---- the host ---- */

/* The line of FILE, or what of it stands in brackets. */
static void add_line(struct surroundings *surroundings, const char *name,
		     const char *file)
{
	char text[TEXT], *from = text, *to;

	if (file_text(file, text, sizeof(text)))
		return;
	text[strcspn(text, "\n")] = '\0';
	to = strchr(text, ']');
	if (to && strchr(text, '[')) {
		from = strchr(text, '[') + 1;
		*to = '\0';
	}
	add(surroundings, name, "%s", from);
}

static void add_host(struct surroundings *surroundings)
{
	struct utsname system;
	struct limits limits;

	if (!uname(&system)) {
		add(surroundings, "host", "%s", system.nodename);
		add(surroundings, "kernel", "%s %s", system.sysname, system.release);
		add(surroundings, "machine", "%s", system.machine);
	}
	add(surroundings, "processors", "%ld", sysconf(_SC_NPROCESSORS_ONLN));
	limits_read(&limits);
	if (limits.has & LIMITS_HAS_MEMORY) {
		add(surroundings, "ram_bytes", "%" PRIu64, limits.ram_bytes);
		add(surroundings, "swap_bytes", "%" PRIu64, limits.swap_bytes);
	}
	if (limits.has & LIMITS_HAS_OVERCOMMIT)
		add(surroundings, "overcommit_memory", "%u", limits.overcommit);
	if (limits.has & LIMITS_HAS_MAP_COUNT)
		add(surroundings, "max_map_count", "%" PRIu64, limits.max_map_count);
	add_line(surroundings, "huge_pages",
		 "/sys/kernel/mm/transparent_hugepage/enabled");
	add_line(surroundings, "huge_defrag",
		 "/sys/kernel/mm/transparent_hugepage/defrag");
}

/* ---- the program ---- */

static bool find_note(Elf_Data *data, char id[BUILD_ID])
{
	size_t offset = 0, name_at, desc_at, length = 0;
	GElf_Nhdr note;

	while ((offset = gelf_getnote(data, offset, &note, &name_at, &desc_at)) > 0) {
		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
		    memcmp((char *)data->d_buf + name_at, "GNU", 4) != 0)
			continue;
		for (size_t i = 0; i < note.n_descsz && length + 3 < BUILD_ID; i++)
			length += (size_t)snprintf(
				id + length, 3, "%02x",
				((unsigned char *)data->d_buf)[desc_at + i]);
		return length > 0;
	}
	return false;
}

static bool find_build_id(Elf *elf, char id[BUILD_ID])
{
	size_t count = 0;
	GElf_Phdr header;

	if (elf_getphdrnum(elf, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_NOTE)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)header.p_offset,
					    header.p_filesz, ELF_T_NHDR);
		if (data && find_note(data, id))
			return true;
	}
	return false;
}

static void add_build_id(struct surroundings *surroundings, const char *exe)
{
	char id[BUILD_ID] = "";
	int fd = open(exe, O_RDONLY | O_CLOEXEC);
	Elf *elf;

	if (fd < 0)
		return;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && find_build_id(elf, id))
		add(surroundings, "build_id", "%s", id);
	elf_end(elf);
	close(fd);
}

static void add_program(struct surroundings *surroundings, int pid)
{
	char path[PROC_PATH], program[SURROUNDINGS_VALUE];
	ssize_t length;
	uid_t uid;
	struct passwd *user;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	length = readlink(path, program, sizeof(program) - 1);
	if (length > 0) {
		program[length] = '\0';
		add(surroundings, "program", "%s", program);
		add_build_id(surroundings, path);
	}
	if (process_user(pid, &uid))
		return;
	user = getpwuid(uid);
	if (user)
		add(surroundings, "user", "%s", user->pw_name);
	else
		add(surroundings, "user", "%u", uid);
}

/* ---- what lies in the process's own memory ---- */

/* Whether all pages of the range are there: the kernel would bring in those that are not
 * if the file of /proc that shows it were read. */
static bool is_resident(int pid, uint64_t from, uint64_t to)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), entry;
	char path[PROC_PATH];
	bool resident = true;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	for (uint64_t page = from / page_bytes; resident && page * page_bytes < to;
	     page++)
		resident = pread(fd, &entry, sizeof(entry), (off_t)(page * 8)) == 8 &&
			   entry >> 63;
	close(fd);
	return resident;
}

/* The file NAME of /proc/PID, whose text lies in the process between the addresses of
 * fields AT and AT + 1; null: it is not to be had. The caller frees it. */
static char *own_text(int pid, const char *name, enum process_range at, size_t *length)
{
	char path[PROC_PATH], *text;
	uint64_t from, to;

	if (process_range(pid, at, &from, &to) || !is_resident(pid, from, to))
		return NULL;
	text = malloc(ENVIRONMENT);
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if (text && !file_bytes(path, text, ENVIRONMENT, length))
		return text;
	free(text);
	return NULL;
}

static void add_command_line(struct surroundings *surroundings, int pid)
{
	size_t length;
	char *text = own_text(pid, "cmdline", PROCESS_ARGUMENTS, &length);

	if (!text)
		return;
	for (size_t i = 0; i + 1 < length; i++)
		if (!text[i])
			text[i] = ' ';
	add(surroundings, "command_line", "%s", text);
	free(text);
}

static bool is_allocators(const char *variable)
{
	static const char *const begin[] = {
		"GLIBC_TUNABLES=",    "MALLOC_",   "LD_PRELOAD=", "TCMALLOC_",
		"_RJEM_MALLOC_CONF=", "MIMALLOC_",
	};

	for (size_t i = 0; i < sizeof(begin) / sizeof(*begin); i++)
		if (!strncmp(variable, begin[i], strlen(begin[i])))
			return true;
	return false;
}

static void add_environment(struct surroundings *surroundings, int pid)
{
	size_t length;
	char *text = own_text(pid, "environ", PROCESS_ENVIRONMENT, &length), *end;

	for (char *at = text; text && at < text + length; at += strlen(at) + 1) {
		char name[SURROUNDINGS_NAME];

		end = strchr(at, '=');
		if (!end || !is_allocators(at))
			continue;
		snprintf(name, sizeof(name), "env:%.*s", (int)(end - at), at);
		add(surroundings, name, "%s", end + 1);
	}
	free(text);
}

/* ---- limits ---- */

static void add_limit(struct surroundings *surroundings, const char *name, uint64_t bytes)
{
	if (bytes == UINT64_MAX)
		add(surroundings, name, "unlimited");
	else
		add(surroundings, name, "%" PRIu64, bytes);
}

/* By the file: prlimit(2) would need CAP_SYS_RESOURCE for a process of another user,
 * which the child that reads this never has. */
static void add_limits(struct surroundings *surroundings, int pid)
{
	char text[TEXT];
	struct rlimits limits;

	if (process_text(pid, "limits", text, sizeof(text)) <= 0 ||
	    bounds_parse_rlimits(text, &limits))
		return;
	add_limit(surroundings, "limit_as", limits.address_space_bytes);
	add_limit(surroundings, "limit_data", limits.data_bytes);
	add_limit(surroundings, "limit_stack", limits.stack_bytes);
}

static void add_cgroup(struct surroundings *surroundings, int pid)
{
	struct cgroup_memory cgroup;

	if (cgroup_memory_read(pid, &cgroup))
		return;
	add(surroundings, "cgroup", "%s", cgroup.path);
	add(surroundings, "cgroup_version", "%u", cgroup.version);
	if (cgroup.max.is_set)
		add(surroundings, "cgroup_max_bytes", "%" PRIu64, cgroup.max.limit_bytes);
	if (cgroup.high.is_set)
		add(surroundings, "cgroup_high_bytes", "%" PRIu64,
		    cgroup.high.limit_bytes);
}

void surroundings_read(int pid, struct surroundings *surroundings)
{
	char text[TEXT];
	uint64_t number;

	surroundings->count = 0;
	add_host(surroundings);
	add_program(surroundings, pid);
	add_limits(surroundings, pid);
	add_cgroup(surroundings, pid);
	if (process_text(pid, "status", text, sizeof(text)) > 0 &&
	    !file_field(text, "THP_enabled", &number))
		add(surroundings, "huge_pages_allowed", "%" PRIu64, number);
	/* glibc 2.44 reads tunables of the whole host from here. */
	if (access("/etc/tunables.conf", F_OK) == 0)
		add_line(surroundings, "tunables.conf", "/etc/tunables.conf");
	add_environment(surroundings, pid);
	add_command_line(surroundings, pid);
}
