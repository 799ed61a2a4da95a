#include "target/cgroup.h"

#include "base/file.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_BYTES = 8192, STAT_BYTES = 16384 };

/* Version 1 writes "no limit" as the largest number of whole pages. */
#define NO_LIMIT (UINT64_C(1) << 62)

static const struct cgroup_roots usual_roots = {
	.memory = "/sys/fs/cgroup/memory",
	.unified = "/sys/fs/cgroup",
};

/* The files of one version; null where it has none. */
struct files {
	const char *used, *max, *high, *pressure;
	const char *cache[2]; /* lines of memory.stat, of the cgroup and all below */
};

static const struct files files_of[] = {
	{.used = "memory.usage_in_bytes",
	 .max = "memory.limit_in_bytes",
	 .cache = {"total_active_file", "total_inactive_file"}},
	{.used = "memory.current",
	 .max = "memory.max",
	 .high = "memory.high",
	 .pressure = "memory.pressure",
	 .cache = {"active_file", "inactive_file"}},
};

/* The path of LINE ("4:cpu,memory:/path"), if it is of the memory controller (the first
 * hierarchy's) or of the unified hierarchy ("0::/path"); */
static char *path_of(char *line, bool *is_unified)
{
	char *controllers = strchr(line, ':'), *path;

	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return NULL;
	*path++ = '\0';
	*is_unified = !controllers[1];
	for (char *save, *name = strtok_r(controllers + 1, ",", &save); name;
	     name = strtok_r(NULL, ",", &save))
		if (!strcmp(name, "memory"))
			return path;
	return *is_unified ? path : NULL;
}

/* The path in TEXT of the hierarchy that has the memory controller: the unified one only
 * where no other has. Null: there is none. */
static char *memory_path(char *text, bool *is_unified)
{
	char *found = NULL, *save;

	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		bool unified = false;
		char *path = path_of(line, &unified);

		if (!path || (unified && found))
			continue;
		found = path;
		*is_unified = unified;
	}
	return found;
}

static int directory_inode(const char *root, const char *path, uint64_t *id)
{
	char full[TEXT_BYTES];
	struct stat status;

	if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	if (stat(full, &status))
		return -errno;
	*id = status.st_ino;
	return 0;
}

int cgroup_memory_id(const struct process *process, uint64_t *id)
{
	char text[TEXT_BYTES];
	ssize_t length = process_text(process->pid, "cgroup", text, sizeof(text));
	bool is_unified = false;
	const char *path;

	if (length < 0)
		return (int)length;
	path = memory_path(text, &is_unified);
	if (!path)
		return -ENOENT;
	return directory_inode(is_unified ? usual_roots.unified : usual_roots.memory,
			       path, id);
}

/* ---- limits ---- */

/* A directory of the hierarchy. */
struct place {
	const char *root;
	const struct files *files;
	const char *path;
};

static int read_text(const struct place *place, const char *file, char *text, size_t room)
{
	char full[TEXT_BYTES];

	if (snprintf(full, sizeof(full), "%s%s/%s", place->root, place->path, file) >=
	    (int)sizeof(full))
		return -ENAMETOOLONG;
	return file_text(full, text, room);
}

static int read_number(const struct place *place, const char *file, uint64_t *value)
{
	char text[64];
	int error = read_text(place, file, text, sizeof(text));

	if (error)
		return error;
	if (!strncmp(text, "max", 3)) {
		*value = UINT64_MAX;
		return 0;
	}
	text[strcspn(text, "\n")] = '\0';
	return units_parse_count(text, value);
}

/* Memory that the kernel takes back first; 0 when it does not tell. */
static uint64_t read_cache(const struct place *place)
{
	char text[STAT_BYTES];
	uint64_t sum = 0, value;

	if (read_text(place, "memory.stat", text, sizeof(text)))
		return 0;
	for (unsigned i = 0; i < 2; i++)
		if (!file_field(text, place->files->cache[i], &value))
			sum += value;
	return sum;
}

/* What is left below LIMIT once the cache is taken back. */
static uint64_t left_bytes(const struct cgroup_limit *limit)
{
	uint64_t held = limit->used_bytes - limit->cache_bytes;

	return limit->limit_bytes > held ? limit->limit_bytes - held : 0;
}

/* Puts the limit in FILE of PLACE into BEST if it leaves less than that one. */
static void consider(const struct place *place, const char *file,
		     struct cgroup_limit *best)
{
	struct cgroup_limit limit = {.is_set = true};

	if (!file || read_number(place, file, &limit.limit_bytes) ||
	    limit.limit_bytes >= NO_LIMIT ||
	    read_number(place, place->files->used, &limit.used_bytes))
		return;
	limit.cache_bytes = read_cache(place);
	if (limit.cache_bytes > limit.used_bytes)
		limit.cache_bytes = limit.used_bytes;
	snprintf(limit.path, sizeof(limit.path), "%s", *place->path ? place->path : "/");
	if (!best->is_set || left_bytes(&limit) < left_bytes(best))
		*best = limit;
}

static void read_pressure(const struct place *place, struct cgroup_memory *memory)
{
	char text[512];

	memory->has_pressure =
		place->files->pressure &&
		!read_text(place, place->files->pressure, text, sizeof(text)) &&
		!pressure_parse(text, &memory->pressure);
}

int cgroup_memory_parse(char *text, const struct cgroup_roots *roots,
			struct cgroup_memory *memory)
{
	bool is_unified = false;
	char *path = memory_path(text, &is_unified);
	struct place place = {
		.root = is_unified ? roots->unified : roots->memory,
		.files = &files_of[is_unified],
		.path = path,
	};
	uint64_t inode;
	int error = path ? directory_inode(place.root, path, &inode) : -ENOENT;

	*memory = (struct cgroup_memory){.version = is_unified ? 2 : 1};
	if (error)
		return error;
	snprintf(memory->path, sizeof(memory->path), "%s", path);
	read_pressure(&place, memory);
	/* From the process's own cgroup out to the root. */
	for (char *slash = path; slash; *slash = '\0') {
		consider(&place, place.files->max, &memory->max);
		consider(&place, place.files->high, &memory->high);
		slash = strrchr(path, '/');
		if (!slash)
			break;
	}
	return 0;
}

int cgroup_memory_read(int pid, struct cgroup_memory *memory)
{
	char text[TEXT_BYTES];
	ssize_t length = process_text(pid, "cgroup", text, sizeof(text));

	return length < 0 ? (int)length : cgroup_memory_parse(text, &usual_roots, memory);
}
