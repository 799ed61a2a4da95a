#include "target/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TEXT_BYTES = 8192 };

/* The path of LINE ("4:cpu,memory:/path"), if it is of the memory controller (the first
 * hierarchy's) or of the unified hierarchy ("0::/path"); */
static const char *path_of(char *line, bool *is_unified)
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
	char text[TEXT_BYTES], *save;
	ssize_t length = process_text(process->pid, "cgroup", text, sizeof(text));
	int error = -ENOENT;

	if (length < 0)
		return (int)length;
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		bool is_unified = false;
		const char *path = path_of(line, &is_unified);

		/* The line of the unified hierarchy comes last, and counts only where no
		 * other has the controller. */
		if (path && (!is_unified || error))
			error = directory_inode(is_unified ? "/sys/fs/cgroup"
							   : "/sys/fs/cgroup/memory",
						path, id);
	}
	return error;
}
