/* smaps.h: reads whose a process's resident memory is out of /proc/PID/smaps. That file
 * is the kernel's walk of all page tables: for once, not for every reading. */
#ifndef FRAGSCOPE_SMAPS_H
#define FRAGSCOPE_SMAPS_H

#include "sample/mappings.h"

/* Reads PID's, and what of it is page cache. Allocates nothing. 0 or -errno. */
int smaps_read(int pid, struct smaps *smaps);

/* Of the same from text: begin, one call a LINE (changed, without its newline), end. */
void smaps_begin(struct smaps *smaps);
void smaps_line(struct smaps *smaps, char *line);
void smaps_end(struct smaps *smaps);

#endif
