/* denied.h: why a process may not be read, and what to do about it. */
#ifndef FRAGSCOPE_DENIED_H
#define FRAGSCOPE_DENIED_H

#include "base/fault.h"

/* Fills FAULT for ERROR (-errno) met on PATH of process PID (COMM), naming the owner,
 * Yama or the capability that stands in the way. Returns ERROR. */
int denied(int pid, const char *comm, const char *path, int error, struct fault *fault);

#endif
