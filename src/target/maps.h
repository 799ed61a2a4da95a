/* maps.h: the mappings of a process, parsed as they are read: no copy of the file is kept
 * and nothing is allocated. */
#ifndef FRAGSCOPE_MAPS_H
#define FRAGSCOPE_MAPS_H

#include "target/process.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	MAP_READ = 1,
	MAP_WRITE = 2,
	MAP_EXEC = 4,
	MAP_IS_SHARED = 8,
};

/* One line of /proc/PID/maps. NAME is empty for anonymous memory and only valid during
 * the callback. */
struct mapping {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	unsigned flags;
	const char *name;
};

/* Called once a mapping, in order of address; a value other than 0 ends the scan. */
typedef int mapping_fn(const struct mapping *mapping, void *context);

/* Parses one line (without its newline). 0, or -EPROTO. LINE is changed. */
int maps_parse(char *line, struct mapping *mapping);

/* Scans all mappings. Returns 0, what the callback returned, or -errno; -ESRCH when the
 * address space is gone. */
int maps_scan(const struct process *process, mapping_fn *fn, void *context);

/* Whether MAPPING can hold memory that malloc got: private, writable, anonymous. */
bool maps_is_anonymous(const struct mapping *mapping);

/* Whether PATH is that of glibc's libc, by its name: "libc.so.6", before 2.34
 * "libc-2.31.so". */
bool maps_is_glibc(const char *path);

/* Opens the file that MAPPING is of, not the one that its name leads to by now: through
 * map_files, which is that file for sure but takes CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE; without them by its name in the process's own root, believed
 * when it is the same inode. A descriptor; -EPERM when that file takes the capability; or
 * another -errno. */
int maps_open(const struct process *process, const struct mapping *mapping);

#endif
