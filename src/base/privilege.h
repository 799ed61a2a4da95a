/* privilege.h: what a program that was made more powerful than its caller (setcap,
 * set-user-ID, ambient capabilities) may do is in force around the calls that need it,
 * and nowhere else: files that the caller names are opened with the caller's own rights.
 * Root that was root before keeps everything. */
#ifndef FRAGSCOPE_PRIVILEGE_H
#define FRAGSCOPE_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Capabilities in force, of one thread. */
struct privilege {
	uint32_t effective[2];
};

/* At the start of the program: gives up the user and group of the program's file, and
 * every capability that no reading and no probe needs, and puts the rest aside. 0, or
 * -errno: the program must not go on. */
int privilege_set_aside(void);

/* Puts in force, for the calling thread and those that it starts, what was set aside, or
 * nothing; what was in force before. Without set-aside both leave things as they are, but
 * that a capability that is permitted is in force after raise. */
struct privilege privilege_raise(void);
struct privilege privilege_lower(void);
void privilege_restore(struct privilege before);

/* Gives up what was set aside for good. */
void privilege_drop(void);

/* For a child that only reads what belongs to other processes: root becomes nobody, with
 * the capabilities for that and no others. Any other user stays what it is, as does a
 * root that may not change, or on a kernel (before 5.9) where reading takes more. */
void privilege_to_reading(void);

/* For a program that goes on reading for long: the same for good, before it starts
 * threads, but that root becomes USER and GROUP, and keeps what probes need with PROBES.
 * What it executes gets no rights back. */
void privilege_settle(uid_t user, gid_t group, bool probes);

/* Who privilege_to_reading makes of root. */
enum { PRIVILEGE_NOBODY = 65534 };

#endif
