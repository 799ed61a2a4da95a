#include "ipc/ring.h"

#include "base/clock.h"
#include "target/maps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 8, TRIM_LOOK_NS = 2000000 };

int ring_judge(const struct ring_header *header, uint64_t bytes)
{
	if (header->magic != RING_MAGIC)
		return -EPROTO;
	if (header->version != RING_VERSION)
		return -ENOTSUP;
	if (bytes < RING_BYTES || header->header_bytes != RING_HEADER_BYTES ||
	    header->slot_bytes != RING_SLOT_BYTES || header->slots != RING_SLOTS)
		return -EPROTO;
	if (!memchr(header->name, '\0', sizeof(header->name)))
		return -EPROTO;
	return 0;
}

bool ring_is_whole(const struct ring_slot *slot, uint64_t sequence_after, uint64_t number)
{
	const struct ring_sample *sample = &slot->sample;

	return slot->sequence == 2 * number + 2 && sequence_after == slot->sequence &&
	       ring_is_possible(sample) && sample->number == number &&
	       ring_check(sample) == slot->check;
}

static int from_process(const struct ring *ring, uint64_t offset, void *to, size_t bytes)
{
	struct iovec here = {to, bytes};
	struct iovec there = {(void *)(uintptr_t)(ring->addr + offset), bytes};
	ssize_t got = process_vm_readv(ring->pid, &here, 1, &there, 1, 0);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}

static int from_file(const struct ring *ring, uint64_t offset, void *to, size_t bytes)
{
	ssize_t got = pread(ring->fd, to, bytes, (off_t)offset);

	if (got < 0)
		return -errno;
	return (size_t)got == bytes ? 0 : -EFAULT;
}

static int read_bytes(const struct ring *ring, uint64_t offset, void *to, size_t bytes)
{
	return ring->fd >= 0 ? from_file(ring, offset, to, bytes)
			     : from_process(ring, offset, to, bytes);
}

static bool is_file(int fd, uint64_t inode)
{
	struct stat file;

	return !fstat(fd, &file) && file.st_ino == inode && S_ISREG(file.st_mode);
}

/* The file at NAME of PROCESS's directory in /proc if it is that of INODE, or -1. */
static int open_file(const struct process *process, const char *name, uint64_t inode)
{
	char path[320];
	int fd, file;

	snprintf(path, sizeof(path), "/proc/%d/%s", process->pid, name);
	/* No other kind of file is opened, which might wait or do something by that. */
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!is_file(fd, inode)) {
		close(fd);
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return file;
}

static int from_descriptors(const struct process *process, uint64_t inode)
{
	char name[280];
	struct dirent *entry;
	DIR *dir;
	int fd = -1;

	snprintf(name, sizeof(name), "/proc/%d/fd", process->pid);
	dir = opendir(name);
	while (dir && fd < 0 && (entry = readdir(dir))) {
		snprintf(name, sizeof(name), "fd/%s", entry->d_name);
		fd = open_file(process, name, inode);
	}
	if (dir)
		closedir(dir);
	return fd;
}

/* By whichever way the kernel allows: each has rules of its own. */
static int open_memory(const struct process *process, const struct mapping *mapping)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, mapping->start,
		 mapping->end);
	fd = open_file(process, name, mapping->inode);
	return fd >= 0 ? fd : from_descriptors(process, mapping->inode);
}

/* The header of the ring at MAPPING. What the process may do to the file, as to cut it
 * off, is an error of a later read at worst. */
static int read_header(struct ring *ring, const struct process *process,
		       const struct mapping *mapping)
{
	int error;

	ring->addr = mapping->start;
	ring->fd = open_memory(process, mapping);
	error = read_bytes(ring, 0, &ring->header, sizeof(ring->header));
	if (!error)
		error = ring_judge(&ring->header, mapping->end - mapping->start);
	if (error)
		ring_detach(ring);
	return error;
}

/* A program may map memory of this name as it likes: the first that is a ring counts. */
struct search {
	struct ring *ring;
	const struct process *process;
	int result;
};

static int look_at(const struct mapping *mapping, void *context)
{
	struct search *search = context;

	if (strcmp(mapping->name, RING_MAPPING) != 0 || mapping->offset ||
	    !(mapping->flags & MAP_IS_SHARED))
		return 0;
	search->result = read_header(search->ring, search->process, mapping);
	return !search->result;
}

int ring_attach(struct ring *ring, const struct process *process)
{
	struct search search = {.ring = ring, .process = process, .result = -ENOENT};
	int result;

	*ring = (struct ring){.pid = process->pid, .fd = -1};
	result = maps_scan(process, look_at, &search);
	return result < 0 ? result : search.result;
}

void ring_detach(struct ring *ring)
{
	if (ring->fd >= 0)
		close(ring->fd);
	ring->fd = -1;
}

/* 0 and how many samples there have been, or -errno. */
static int published(const struct ring *ring, uint64_t *count)
{
	return read_bytes(ring, offsetof(struct ring_header, published), count,
			  sizeof(*count));
}

/* 0, -EAGAIN: it was being overwritten, -EPROTO: it is not there though nothing came in
 * its place, or another -errno. */
static int read_slot(const struct ring *ring, uint64_t number, struct ring_sample *sample)
{
	uint64_t offset =
		RING_HEADER_BYTES + number % RING_SLOTS * (uint64_t)RING_SLOT_BYTES;
	struct ring_slot slot;
	uint64_t after, count;
	int error = read_bytes(ring, offset, &slot, sizeof(slot));

	if (!error)
		error = read_bytes(ring, offset, &after, sizeof(after));
	if (!error)
		error = published(ring, &count);
	if (error)
		return error;
	if (!ring_is_whole(&slot, after, number))
		return count - number < RING_SLOTS ? -EPROTO : -EAGAIN;
	ring_copy(sample, &slot.sample);
	return 0;
}

int ring_latest(struct ring *ring, struct ring_sample *sample)
{
	int error = -EAGAIN;

	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		uint64_t count;

		error = published(ring, &count);
		if (!error)
			error = count ? read_slot(ring, count - 1, sample) : -EAGAIN;
	}
	return error;
}

int ring_next(struct ring *ring, struct ring_sample *sample, uint64_t *missed)
{
	int error = -EAGAIN;

	*missed = 0;
	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		uint64_t count;

		error = published(ring, &count);
		if (error)
			break;
		if (count <= ring->next)
			return count == ring->next ? -EAGAIN : -EPROTO;
		/* The slot after the latest may be being written. */
		if (count - ring->next >= RING_SLOTS) {
			*missed += count - ring->next - (RING_SLOTS - 1);
			ring->next = count - (RING_SLOTS - 1);
		}
		error = read_slot(ring, ring->next, sample);
	}
	ring->next += !error;
	return error;
}

/* ---- trims ---- */

/* The first page for writing, or null. What can be cut off is not mapped: touching it
 * would be the end. */
static struct ring_header *map_header(const struct ring *ring)
{
	struct ring_header *header;
	char path[64];
	int fd, seals;

	if (ring->fd < 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ring->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	seals = fcntl(fd, F_GET_SEALS);
	header = seals >= 0 && seals & F_SEAL_SHRINK
			 ? mmap(NULL, RING_HEADER_BYTES, PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0)
			 : MAP_FAILED;
	close(fd);
	return header == MAP_FAILED ? NULL : header;
}

/* The sampler sees a word that was only written when it wakes for its next sample. */
static int write_request(const struct ring *ring, uint32_t number)
{
	struct iovec here = {&number, sizeof(number)};
	struct iovec there = {
		(void *)(uintptr_t)(ring->addr +
				    offsetof(struct ring_header, trim_asked)),
		sizeof(number)};

	return process_vm_writev(ring->pid, &here, 1, &there, 1, 0) < 0 ? -errno : 0;
}

/* 0 and the *NUMBER of the request, or -errno. */
static int request_trim(const struct ring *ring, uint32_t *number)
{
	struct ring_header *header = map_header(ring), now;
	int error;

	if (header) {
		*number = __atomic_add_fetch(&header->trim_asked, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, &header->trim_asked, FUTEX_WAKE, 1, NULL, NULL, 0);
		munmap(header, RING_HEADER_BYTES);
		return 0;
	}
	error = read_bytes(ring, 0, &now, sizeof(now));
	if (error)
		return error;
	*number = now.trim_asked + 1;
	return write_request(ring, *number);
}

int ring_trim(struct ring *ring, int64_t timeout_ns, int64_t *took_ns)
{
	const struct timespec pause = {0, TRIM_LOOK_NS};
	int64_t end_ns = clock_monotonic_ns() + timeout_ns;
	struct ring_header now;
	uint32_t number;
	int error = request_trim(ring, &number);

	while (!error) {
		error = read_bytes(ring, 0, &now, sizeof(now));
		if (!error && (int32_t)(now.trim_done - number) >= 0)
			break;
		if (!error && kill(ring->pid, 0) && errno == ESRCH)
			return -ESRCH;
		if (!error && clock_monotonic_ns() > end_ns)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
	}
	if (error)
		return error;
	*took_ns = now.trim_ns;
	return now.trim_result ? -ENOTSUP : 0;
}
