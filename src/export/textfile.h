/* textfile.h: metrics in a file for node_exporter's collector, which is whole at any
 * time. */
#ifndef FRAGSCOPE_EXPORT_TEXTFILE_H
#define FRAGSCOPE_EXPORT_TEXTFILE_H

#include "base/fault.h"

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

struct textfile {
	const char *path;    /* the caller's */
	char temp[PATH_MAX]; /* beside it: it takes its place */
	uid_t user;	     /* whose the directory is */
	gid_t group;
};

/* 0, or -errno and FAULT: there is no such directory, or the name is too long. Writes
 * nothing. */
int textfile_init(struct textfile *file, const char *path, struct fault *fault);

/* Puts LENGTH bytes in the place of what was there, on the disk before they are seen. 0,
 * or -errno and FAULT: the file is as it was. */
int textfile_write(const struct textfile *file, const char *bytes, size_t length,
		   struct fault *fault);

#endif
