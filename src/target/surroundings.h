/* surroundings.h: reads where a process runs and with what settings. */
#ifndef FRAGSCOPE_SURROUNDINGS_H
#define FRAGSCOPE_SURROUNDINGS_H

#include "sample/surroundings.h"

/* Reads what can be had of PID; the rest is left out. Of its environment only variables
 * that allocators read are looked at; if a page of it or of its command line is not
 * resident it is left alone. May wait for ever where a file of the process does
 * (FUSE): for a child (base/subprocess.h). */
void surroundings_read(int pid, struct surroundings *surroundings);

#endif
