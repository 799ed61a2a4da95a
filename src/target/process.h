/* process.h: the identity of one live process: a PID that cannot be mistaken for a later
 * process of the same number, and the files of /proc that a reading needs, held open. */
#ifndef FRAGSCOPE_PROCESS_H
#define FRAGSCOPE_PROCESS_H

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { PROCESS_COMM = 64 };

struct process {
	int pid;
	int pidfd;
	int maps_fd; /* bound to the address space: it reads empty after an exec */
	int pagemap_fd;
	int rollup_fd;
	uint64_t start_ticks;
	int64_t started_ns; /* CLOCK_REALTIME, to 10 ms; as the clock was at process_open
			     */
	char comm[PROCESS_COMM];
};

enum process_state {
	PROCESS_RUNS,
	PROCESS_EXITED,
	PROCESS_EXECED, /* the same process with another program in it */
};

/* Opens PID for reading. 0, or -errno and FAULT: no such process, not permitted and by
 * what, a kernel thread, a zombie. Nothing is sent to the process. */
int process_open(struct process *process, int pid, struct fault *fault);
void process_close(struct process *process);

/* PROCESS has executed another program: its files are now what is open, under the same
 * pidfd. 0, or -errno and FAULT; then PROCESS is as it was. */
int process_take_up(struct process *process, struct fault *fault);

/* What /proc says of PID without its being opened: a few microseconds, whatever its size.
 */
struct process_brief {
	uint64_t start_ticks;
	uint64_t rss_bytes; /* by the kernel's running counters; 0 of kernel threads and
			       zombies */
};

/* 0, or -errno: -ENOENT or -ESRCH when there is no such process. */
int process_look(int pid, struct process_brief *brief);

/* What has become of PROCESS. A reading that ends in PROCESS_RUNS was of this process
 * alone, whatever its number has been given to since. */
enum process_state process_state(const struct process *process);

/* Whether PROCESS has exited: of all that can be asked of it, what never has to wait. */
bool process_has_exited(const struct process *process);

/* Reads the name of PROCESS again: a program can give itself another. It stays what it
 * was once the process has ended or executed another program. */
void process_read_name(struct process *process);

/* Fills FAULT with what became of PROCESS, which is in STATE; the exit status is a good
 * one. */
void process_describe_end(const struct process *process, enum process_state state,
			  struct fault *fault);

/* Whether PROCESS ends within two seconds: asked when its memory is gone already, which
 * the kernel takes away first. */
bool process_exits(const struct process *process);

/* ---- proc_file.c: by number alone ---- */

/* The real user of PID. 0 or -errno. */
int process_user(int pid, uid_t *uid);

/* Reads /proc/PID/NAME whole into TEXT (at most SIZE - 1 bytes, null-terminated). Returns
 * the length or -errno. */
ssize_t process_text(int pid, const char *name, char *text, size_t size);

/* The same without the newline at the end; those within a name are part of it. TEXT is ""
 * when there is nothing to read. */
ssize_t process_line(int pid, const char *name, char *text, size_t size);

/* Fields of /proc/PID/stat that begin a pair of addresses, above the first thread's
 * stack. */
enum process_range { PROCESS_ARGUMENTS = 48, PROCESS_ENVIRONMENT = 50 };

/* 0, or -errno; -ENODATA: who asks may not know them. */
int process_range(int pid, enum process_range range, uint64_t *from, uint64_t *to);

#endif
