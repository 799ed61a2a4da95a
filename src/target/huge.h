/* huge.h: reads what the host does to make huge pages of small ones. */
#ifndef FRAGSCOPE_HUGE_H
#define FRAGSCOPE_HUGE_H

#include "sample/mappings.h"

/* 0, or -errno: the kernel has none, or does not tell. */
int huge_read(struct huge *huge);

/* The same of another directory than /sys/kernel/mm/transparent_hugepage. */
int huge_read_at(const char *directory, struct huge *huge);

#endif
