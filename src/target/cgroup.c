#include "target/cgroup.h"

#include "base/file.h"
#include "base/units.h"
#include "target/pressure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_BYTES = 8192, STAT_BYTES = 16384, MOUNTS_BYTES = 65536 };

/* Version 1 writes "no limit" as the largest number of whole pages. */
#define NO_LIMIT (UINT64_C(1) << 62)

static const struct cgroup_mounts usual = {
	.memory = {"/sys/fs/cgroup/memory", "/"},
	.unified = {"/sys/fs/cgroup", "/"},
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

/* ---- mounts ---- */

static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += length)
		if ((at == list || at[-1] == ',') && (!at[length] || at[length] == ','))
			return true;
	return false;
}

/* The first that has all of its hierarchy, or else the first. */
static void consider_mount(struct cgroup_mount *best, const char *root, const char *point)
{
	if (best->point[0] && (!strcmp(best->root, "/") || strcmp(root, "/") != 0))
		return;
	if (snprintf(best->point, sizeof(best->point), "%s", point) >= CGROUP_PATH ||
	    snprintf(best->root, sizeof(best->root), "%s", root) >= CGROUP_PATH)
		best->point[0] = '\0';
}

/* "36 35 0:29 ROOT POINT rw,nosuid shared:7 - TYPE SOURCE OPTIONS" */
static void parse_mount(char *line, struct cgroup_mounts *mounts)
{
	enum { ROOT = 3, POINT = 4, HEAD = 5, TYPE = 0, OPTIONS = 2, TAIL = 3 };
	char *tail = strstr(line, " - "), *word[HEAD] = {0}, *behind[TAIL] = {0}, *save;
	char *at;

	if (!tail)
		return;
	*tail = '\0';
	at = strtok_r(line, " ", &save);
	for (int i = 0; at && i < HEAD; i++, at = strtok_r(NULL, " ", &save))
		word[i] = at;
	at = strtok_r(tail + 3, " ", &save);
	for (int i = 0; at && i < TAIL; i++, at = strtok_r(NULL, " ", &save))
		behind[i] = at;
	if (!word[POINT] || !behind[OPTIONS])
		return;
	if (!strcmp(behind[TYPE], "cgroup2"))
		consider_mount(&mounts->unified, word[ROOT], word[POINT]);
	else if (!strcmp(behind[TYPE], "cgroup") && has_word(behind[OPTIONS], "memory"))
		consider_mount(&mounts->memory, word[ROOT], word[POINT]);
}

void cgroup_mounts_parse(char *text, struct cgroup_mounts *mounts)
{
	char *save;

	*mounts = (struct cgroup_mounts){0};
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		parse_mount(line, mounts);
}

/* What PATH of the hierarchy is below MOUNT's point; null: it is not there. */
static char *below(const struct cgroup_mount *mount, char *path)
{
	size_t length = strlen(mount->root);

	if (!path || !mount->point[0])
		return NULL;
	if (!strcmp(mount->root, "/"))
		return path;
	if (strncmp(path, mount->root, length) != 0 ||
	    (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

/* ---- the directory ---- */

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

/* A process's directory. */
struct group_path {
	bool is_unified;
	char *path; /* below POINT, in the text that was searched */
	const char *point;
	uint64_t inode;
};

static int find(char *text, const struct cgroup_mounts *mounts, struct group_path *found)
{
	const struct cgroup_mount *mount;
	char *path;

	*found = (struct group_path){0};
	path = memory_path(text, &found->is_unified);
	mount = found->is_unified ? &mounts->unified : &mounts->memory;
	found->point = mount->point;
	found->path = below(mount, path);
	if (!found->path)
		return -ENOENT;
	return directory_inode(found->point, found->path, &found->inode);
}

/* Calls USE with the text of PID's cgroups: with the mounts as they usually are, and,
 * where that finds nothing, as they really are. */
static int with_mounts(int pid,
		       int (*use)(char *text, const struct cgroup_mounts *mounts,
				  void *context),
		       void *context)
{
	char text[TEXT_BYTES], copy[TEXT_BYTES], mountinfo[MOUNTS_BYTES];
	ssize_t length = process_text(pid, "cgroup", text, sizeof(text));
	struct cgroup_mounts mounts;
	int error;

	if (length < 0)
		return (int)length;
	memcpy(copy, text, sizeof(copy));
	error = use(copy, &usual, context);
	if (error != -ENOENT ||
	    file_text("/proc/self/mountinfo", mountinfo, sizeof(mountinfo)))
		return error;
	cgroup_mounts_parse(mountinfo, &mounts);
	return use(text, &mounts, context);
}

static int use_id(char *text, const struct cgroup_mounts *mounts, void *context)
{
	struct group_path found;
	int error = find(text, mounts, &found);

	*(uint64_t *)context = found.inode;
	return error;
}

int cgroup_memory_id(const struct process *process, uint64_t *id)
{
	return with_mounts(process->pid, use_id, id);
}

/* ---- limits ---- */

/* A directory of the hierarchy. */
struct group_dir {
	const char *root;
	const struct files *files;
	const char *path;
};

static int read_text(const struct group_dir *place, const char *file, char *text,
		     size_t room)
{
	char full[TEXT_BYTES];

	if (snprintf(full, sizeof(full), "%s%s/%s", place->root, place->path, file) >=
	    (int)sizeof(full))
		return -ENAMETOOLONG;
	return file_text(full, text, room);
}

static int read_number(const struct group_dir *place, const char *file, uint64_t *value)
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
static uint64_t read_cache(const struct group_dir *place)
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
static void consider(const struct group_dir *place, const char *file,
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

static void read_pressure(const struct group_dir *place, struct cgroup_memory *memory)
{
	char text[512];

	memory->has_pressure =
		place->files->pressure &&
		!read_text(place, place->files->pressure, text, sizeof(text)) &&
		!pressure_parse(text, &memory->pressure);
}

int cgroup_memory_parse(char *text, const struct cgroup_mounts *mounts,
			struct cgroup_memory *memory)
{
	struct group_path found;
	int error = find(text, mounts, &found);
	const struct group_dir place = {
		.root = found.point,
		.files = &files_of[found.is_unified],
		.path = found.path,
	};

	*memory = (struct cgroup_memory){.version = found.is_unified ? 2 : 1};
	if (error)
		return error;
	snprintf(memory->path, sizeof(memory->path), "%s",
		 *found.path ? found.path : "/");
	read_pressure(&place, memory);
	/* From the process's own cgroup out to the root. */
	for (char *slash = found.path; slash; *slash = '\0') {
		consider(&place, place.files->max, &memory->max);
		consider(&place, place.files->high, &memory->high);
		slash = strrchr(found.path, '/');
		if (!slash)
			break;
	}
	return 0;
}

static int use_memory(char *text, const struct cgroup_mounts *mounts, void *context)
{
	return cgroup_memory_parse(text, mounts, context);
}

int cgroup_memory_read(int pid, struct cgroup_memory *memory)
{
	return with_mounts(pid, use_memory, memory);
}
