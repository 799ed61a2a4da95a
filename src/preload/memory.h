/* memory.h: the memory that our libraries share with readers: a memfd that nobody can
 * change the size of, and that no child inherits. System calls only. */
#ifndef FRAGSCOPE_PRELOAD_MEMORY_H
#define FRAGSCOPE_PRELOAD_MEMORY_H

#include <stddef.h>
#include <sys/stat.h>

/* A descriptor of it for readers, while FILE says that it still is that; -1: none. */
struct memory_fd {
	int fd;
	struct stat file;
};

/* BYTES of zeros that readers find by NAME, or null. */
void *memory_make(const char *name, size_t bytes, struct memory_fd *kept);

/* The parent's, in a forked child; the host may have put something else in its place. */
void memory_drop(struct memory_fd *kept);

#endif
