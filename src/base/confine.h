/* confine.h: what a child that parses files and memory of strangers may still do: read. A
 * flaw in how it reads them then gives nobody the rights of this program. */
#ifndef FRAGSCOPE_CONFINE_H
#define FRAGSCOPE_CONFINE_H

/* For the calling process, which has one thread, and for good: of system calls it may
 * open for reading, read, and take memory; write to what is open already; and end. All
 * others fail with EPERM. 0, or -errno where the kernel has no filters for system calls.
 */
int confine_to_reading(void);

#endif
