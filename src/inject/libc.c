#include "inject/libc.h"

#include "glibc/attach.h"
#include "inject/machine.h"
#include "inject/memory.h"
#include "target/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CODE_MAX_BYTES = 16 << 20,
	ARENAS_MAX = 1 << 16,
};

/* All of malloc.c that has a name in every glibc from 2.27 on. */
static const char *const malloc_names[] = {
	"malloc",      "free",	       "calloc",      "realloc",
	"memalign",    "valloc",       "pvalloc",     "posix_memalign",
	"malloc_trim", "malloc_stats", "malloc_info", "malloc_usable_size",
	"mallopt",     "mallinfo",     NULL,
};

/* The piece of executable code that holds ADDR, copied. */
struct code_piece {
	uint64_t addr, start;
	uint8_t *byte;
	size_t bytes;
};

static int cannot(const struct process *process, int error, const char *why,
		  struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, error,
			 "cannot make a call in process %d (%s): %s", process->pid,
			 process->comm, why);
}

/* ---- code ---- */

struct libc_code_search {
	const struct process *process;
	struct code_piece *piece;
};

static int take_code(const struct mapping *mapping, void *context)
{
	const struct libc_code_search *search = context;
	struct code_piece *piece = search->piece;
	ssize_t got;
	int fd;

	if (piece->addr < mapping->start || piece->addr >= mapping->end)
		return 0;
	piece->bytes = mapping->end - mapping->start;
	if (!(mapping->flags & MAP_EXEC) || piece->bytes > CODE_MAX_BYTES)
		return -ENOENT;
	fd = maps_open(search->process, mapping);
	if (fd < 0)
		return fd;
	piece->start = mapping->start;
	piece->byte = malloc(piece->bytes);
	got = piece->byte ? pread(fd, piece->byte, piece->bytes, (off_t)mapping->offset)
			  : -1;
	close(fd);
	if (!piece->byte)
		return -ENOMEM;
	piece->bytes = got < 0 ? 0 : (size_t)got;
	return 1;
}

static int find_in(const struct process *process, const struct code_piece *piece,
		   uint64_t errno_location, struct inject_libc *libc, struct fault *fault)
{
	uint64_t at = errno_location - piece->start;

	libc->code_start = piece->start;
	libc->code_end = piece->start + piece->bytes;
	if (machine_find_code(process, piece->start, piece->byte, piece->bytes, libc))
		return cannot(process, -ENOTSUP,
			      "its libc has no code that returns from a signal", fault);
	if (errno_location < piece->start || at >= piece->bytes ||
	    machine_find_errno(process, errno_location, piece->byte + at,
			       piece->bytes - at, &libc->errno_offset))
		return cannot(process, -ENOTSUP,
			      "where its libc keeps errno is not known", fault);
	return 0;
}

static int find_code(const struct process *process, struct unwinder *unwinder,
		     struct inject_libc *libc, struct fault *fault)
{
	struct unwind_code errno_location;
	struct code_piece piece = {.addr = libc->malloc.start};
	struct libc_code_search search = {process, &piece};
	int error;

	if (unwind_function(unwinder, libc->malloc.start, "__errno_location",
			    &errno_location))
		return cannot(process, -ENOTSUP, "its libc has no __errno_location",
			      fault);
	error = maps_scan(process, take_code, &search);
	if (error == 1)
		error = find_in(process, &piece, errno_location.start, libc, fault);
	else
		error = cannot(process, error ? error : -ENOENT,
			       "the code of its libc cannot be read", fault);
	free(piece.byte);
	return error;
}

/* ---- the libc ---- */

/* Any code of the file that MAIN_ARENA is of, as the data lies behind it. */
struct libc_code {
	uint64_t main_arena, code, inode;
	uint64_t candidate;
};

static int find_libc_code(const struct mapping *mapping, void *context)
{
	struct libc_code *libc = context;

	if (mapping->inode && (mapping->flags & MAP_EXEC) &&
	    mapping->start < libc->main_arena) {
		libc->candidate = mapping->start;
		libc->inode = mapping->inode;
	}
	if (libc->main_arena < mapping->start || libc->main_arena >= mapping->end)
		return 0;
	libc->code = libc->candidate;
	return 1;
}

int inject_libc_find(const struct process *process, struct unwinder *unwinder,
		     struct inject_libc *libc, struct fault *fault)
{
	struct attached attached;
	struct libc_code code = {0};
	int error = attach(process, &attached, fault);

	if (error)
		return error;
	if (attached.count > 1)
		return cannot(process, -ENOTSUP,
			      "it has several C libraries, each with a malloc", fault);
	*libc = (struct inject_libc){.instance = attached.instance[0]};
	code.main_arena = libc->instance.main_arena;
	error = maps_scan(process, find_libc_code, &code);
	if (error < 0)
		return cannot(process, error, strerror(-error), fault);
	if (!code.code ||
	    unwind_surroundings(unwinder, code.code, malloc_names, &libc->malloc) ||
	    strncmp(libc->malloc.module, "libc", 4) != 0)
		return cannot(process, -ENOTSUP,
			      "it is linked statically: where functions of its libc lie "
			      "is not known",
			      fault);
	return find_code(process, unwinder, libc, fault);
}

/* ---- its locks ---- */

/* The lock is the first word of struct malloc_state; 0 when free. */
int inject_libc_is_free(const struct process *process, const struct inject_libc *libc)
{
	uint64_t arena = libc->instance.main_arena;

	for (unsigned i = 0; i < ARENAS_MAX; i++) {
		uint32_t lock;
		int error = inject_read(process, arena, &lock, sizeof(lock));

		if (!error && lock)
			return 0;
		if (!error)
			error = inject_read(process,
					    arena + libc->instance.layout->arena.next,
					    &arena, sizeof(arena));
		if (error)
			return error;
		if (arena == libc->instance.main_arena)
			return 1;
	}
	return -EUCLEAN;
}
