/* machine.h: what differs between the machines that this is built for. */
#ifndef FRAGSCOPE_MACHINE_H
#define FRAGSCOPE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

/* No address of a program has more: x86-64 has 47 and arm64 48, unless a program asks for
 * a place above these (Linux: 5-level page tables, LVA). */
enum { ADDRESS_BITS = 48 };

/* 4096 on x86-64; on arm64 16384 or 65536 as well, by how the kernel was built. */
static inline uint64_t machine_page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Whether src/inject can make a call in a running process here. */
static inline bool machine_can_attach(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

#endif
