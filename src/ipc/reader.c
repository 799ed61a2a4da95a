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

/* The header of the ring in MEMORY. What the process may do to the file, as to cut it
 * off, is an error of a later read at worst. */
static int judge_memory(const struct shared *memory, uint64_t bytes, void *context)
{
	struct ring_header *header = context;
	int error = shared_read(memory, 0, header, sizeof(*header));

	return error ? error : ring_judge(header, bytes);
}

int ring_attach(struct ring *ring, const struct process *process)
{
	*ring = (struct ring){.memory.fd = -1};
	return shared_find(&ring->memory, process, RING_MAPPING, judge_memory,
			   &ring->header);
}

void ring_detach(struct ring *ring)
{
	shared_close(&ring->memory);
}

/* 0 and how many samples there have been, or -errno. */
static int published(const struct ring *ring, uint64_t *count)
{
	return shared_read(&ring->memory, offsetof(struct ring_header, published), count,
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
	int error = shared_read(&ring->memory, offset, &slot, sizeof(slot));

	if (!error)
		error = shared_read(&ring->memory, offset, &after, sizeof(after));
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

	if (ring->memory.fd < 0)
		return NULL;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ring->memory.fd);
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
static int write_word(const struct ring *ring, size_t offset, uint32_t number)
{
	struct iovec here = {&number, sizeof(number)};
	struct iovec there = {(void *)(uintptr_t)(ring->memory.addr + offset),
			      sizeof(number)};

	return process_vm_writev(ring->memory.pid, &here, 1, &there, 1, 0) < 0 ? -errno
									       : 0;
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
	error = shared_read(&ring->memory, 0, &now, sizeof(now));
	if (error)
		return error;
	*number = now.trim_asked + 1;
	return write_word(ring, offsetof(struct ring_header, trim_asked), *number);
}

int ring_trim(struct ring *ring, int64_t timeout_ns, int64_t *took_ns)
{
	const struct timespec pause = {0, TRIM_LOOK_NS};
	int64_t end_ns = clock_monotonic_ns() + timeout_ns;
	struct ring_header now;
	uint32_t number;
	int error = request_trim(ring, &number);

	while (!error) {
		error = shared_read(&ring->memory, 0, &now, sizeof(now));
		if (!error && (int32_t)(now.trim_done - number) >= 0)
			break;
		if (!error && kill(ring->memory.pid, 0) && errno == ESRCH)
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

int ring_end(struct ring *ring)
{
	struct ring_header *header = map_header(ring);

	if (!header)
		return write_word(ring, offsetof(struct ring_header, end_asked), 1);
	__atomic_store_n(&header->end_asked, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &header->trim_asked, FUTEX_WAKE, 1, NULL, NULL, 0);
	munmap(header, RING_HEADER_BYTES);
	return 0;
}
