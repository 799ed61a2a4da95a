#include "engine/targets.h"

#include "base/privilege.h"
#include "base/units.h"
#include "target/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int pid_list_add(struct pid_list *list, int pid)
{
	int *grown;

	for (size_t i = 0; i < list->count; i++)
		if (list->pid[i] == pid)
			return 0;
	grown = reallocarray(list->pid, list->count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->pid = grown;
	list->pid[list->count++] = pid;
	return 0;
}

int name_list_add(struct name_list *list, const char *name, size_t length)
{
	char **grown = reallocarray(list->name, list->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->name = grown;
	grown[list->count] = strndup(name, length);
	if (!grown[list->count])
		return -ENOMEM;
	list->count++;
	return 0;
}

void name_list_free(struct name_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->name[i]);
	free(list->name);
}

/* The kernel adds this to the name of a program file that is gone. */
static void cut_deleted(char *path)
{
	static const char mark[] = " (deleted)";
	size_t length = strlen(path);

	if (length > sizeof(mark) - 1 &&
	    !strcmp(path + length - (sizeof(mark) - 1), mark))
		path[length - (sizeof(mark) - 1)] = '\0';
}

/* A program that may not be looked at can still match by the process's name. */
bool targets_matches(int pid, const char *name)
{
	char link[64], path[PATH_MAX], comm[64];
	struct privilege before;
	const char *slash;
	ssize_t length;
	int error;

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	before = privilege_raise();
	length = readlink(link, path, sizeof(path) - 1);
	error = errno;
	privilege_restore(before);
	if (length < 0 && error == ENOENT)
		return false;
	path[length < 0 ? 0 : length] = '\0';
	cut_deleted(path);
	slash = strrchr(path, '/');
	if (slash && !strcmp(slash + 1, name))
		return true;
	return process_line(pid, "comm", comm, sizeof(comm)) >= 0 && !strcmp(comm, name);
}

/* The process that ENTRY of /proc is, or 0. */
static int entry_pid(const struct dirent *entry)
{
	uint64_t pid;

	if (units_parse_count(entry->d_name, &pid) || pid > INT_MAX)
		return 0;
	return (int)pid;
}

int targets_named(const char *name, struct pid_list *list, struct fault *fault)
{
	DIR *proc = opendir("/proc");
	size_t found = 0;
	struct dirent *entry;
	int error = 0;

	if (!proc)
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot look for processes named '%s' in /proc: %s: is "
				 "it mounted?",
				 name, strerror(errno));
	while (!error && (entry = readdir(proc))) {
		int pid = entry_pid(entry);

		if (!pid || pid == getpid() || !targets_matches(pid, name))
			continue;
		error = pid_list_add(list, pid);
		found++;
	}
	closedir(proc);
	if (error)
		return fault_set(fault, EXIT_FAILED, error, "out of memory");
	if (!found)
		return fault_set(fault, EXIT_FAILED, -ESRCH,
				 "no process is named '%s': neither a process nor its "
				 "program file",
				 name);
	return 0;
}

int targets_all_named(const struct name_list *names, struct pid_list *list,
		      struct fault *fault)
{
	int error = 0;

	for (size_t i = 0; !error && i < names->count; i++)
		error = targets_named(names->name[i], list, fault);
	return error;
}
