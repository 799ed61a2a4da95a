#include "export/textfile.h"

#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODE = 0644 };

/* node_exporter reads what ends with .prom. */
#define TAIL ".new"

int textfile_init(struct textfile *file, const char *path, struct fault *fault)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	struct stat status;

	file->path = path;
	if (snprintf(file->temp, sizeof(file->temp), "%s" TAIL, path) >=
	    (int)sizeof(file->temp))
		return fault_set(fault, EXIT_USAGE, -ENAMETOOLONG,
				 "--textfile: the name is too long");
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path + 1) : 1,
		 slash ? path : ".");
	if (stat(folder, &status))
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot write '%s': %s: %s: create the directory, and "
				 "name it to node_exporter by "
				 "--collector.textfile.directory",
				 path, folder, strerror(errno));
	file->user = status.st_uid;
	file->group = status.st_gid;
	return 0;
}

static int write_temp(const struct textfile *file, const char *bytes, size_t length)
{
	int fd = open(file->temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		      MODE);
	int error;

	if (fd < 0)
		return -errno;
	error = output_write(fd, bytes, length);
	if (!error && fsync(fd))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	return error;
}

int textfile_write(const struct textfile *file, const char *bytes, size_t length,
		   struct fault *fault)
{
	int error = write_temp(file, bytes, length);

	if (!error && rename(file->temp, file->path))
		error = -errno;
	if (!error)
		return 0;
	unlink(file->temp);
	return fault_set(fault, EXIT_FAILED, error, "cannot write '%s': %s", file->path,
			 strerror(-error));
}
