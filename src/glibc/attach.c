#include "glibc/attach.h"

#include "base/machine.h"
#include "glibc/locate.h"
#include "target/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILES = 16 };

/* One file that is mapped from its start: a candidate for holding malloc. */
struct mapped_file {
	uint64_t start;
	uint64_t end; /* of that first mapping */
	uint64_t inode;
	char name[PATH_MAX];
};

struct libc_search {
	const struct process *process;
	uint64_t exe_inode;
	unsigned count;
	struct mapped_file file[MAX_FILES];
	char other[ATTACH_NAME];
	char musl[ATTACH_NAME];
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_libc_name(const char *name)
{
	return begins(name, "libc.so") || begins(name, "libc-2.");
}

/* Debian's is called libc.so; glibc's has a number behind that. */
static bool is_musl_name(const char *name)
{
	return begins(name, "ld-musl") || !strcmp(name, "libc.so");
}

static bool is_allocator_name(const char *name)
{
	static const char *const known[] = {"libjemalloc", "libtcmalloc", "libmimalloc",
					    "libhoard",	   "libsnmalloc", "librpmalloc"};

	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (begins(name, known[i]))
			return true;
	return false;
}

static void note_name(char to[ATTACH_NAME], const char *name)
{
	if (!to[0])
		snprintf(to, ATTACH_NAME, "%.*s", ATTACH_NAME - 1, name);
}

static int look_at(const struct mapping *mapping, void *context)
{
	struct libc_search *search = context;
	const char *name = base_name(mapping->name);
	struct mapped_file *file = &search->file[search->count];

	if (!mapping->inode || mapping->offset)
		return 0;
	if (is_allocator_name(name))
		note_name(search->other, name);
	if (is_musl_name(name))
		note_name(search->musl, name);
	if (!is_libc_name(name) && mapping->inode != search->exe_inode)
		return 0;
	if (search->count == MAX_FILES)
		return 0;
	file->start = mapping->start;
	file->end = mapping->end;
	file->inode = mapping->inode;
	snprintf(file->name, sizeof(file->name), "%s", mapping->name);
	search->count++;
	return 0;
}

static int open_file(const struct process *process, const struct mapped_file *file)
{
	const struct mapping mapping = {
		.start = file->start,
		.end = file->end,
		.inode = file->inode,
		.name = file->name,
	};

	return maps_open(process, &mapping);
}

static int cannot_open(const struct process *process, const struct mapped_file *file,
		       int error, struct fault *fault)
{
	if (error == -EPERM)
		return fault_set(fault, EXIT_NOT_PERMITTED, error,
				 "cannot open the %s that process %d (%s) has mapped: "
				 "the file was "
				 "replaced, and reaching the old one takes root or "
				 "CAP_CHECKPOINT_RESTORE",
				 base_name(file->name), process->pid, process->comm);
	return fault_set(fault, EXIT_FAILED, error,
			 "cannot open the %s that process %d (%s) has mapped: %s",
			 base_name(file->name), process->pid, process->comm,
			 strerror(-error));
}

static void add_instance(struct attached *attached, const struct mapped_file *file,
			 const struct located *located)
{
	uint64_t bias = file->start - (located->first_vaddr & -machine_page_bytes());

	if (attached->count == sizeof(attached->instance) / sizeof(*attached->instance))
		return;
	if (!attached->count && located->minor)
		snprintf(attached->allocator, sizeof(attached->allocator), "glibc-2.%u",
			 located->minor);
	else if (!attached->count)
		snprintf(attached->allocator, sizeof(attached->allocator), "glibc-%s",
			 located->layout->name);
	attached->instance[attached->count++] = (struct malloc_instance){
		.layout = located->layout,
		.main_arena = located->main_arena + bias,
		.par = located->par + bias,
		.minor = located->minor,
	};
}

static int try_file(const struct process *process, const struct mapped_file *file,
		    struct attached *attached, struct fault *fault)
{
	struct located located = {0};
	char why[128] = "";
	int fd = open_file(process, file), error;

	if (fd < 0)
		return cannot_open(process, file, fd, fault);
	error = locate_malloc(fd, &located, why, sizeof(why));
	close(fd);
	if (error == -ENOTSUP)
		return fault_set(
			fault, EXIT_NO_SOURCE, error,
			"cannot read the heap of process %d (%s): %s has %s; known are "
			"glibc 2.27 to 2.44",
			process->pid, process->comm, base_name(file->name), why);
	if (!error)
		add_instance(attached, file, &located);
	return 0;
}

/* Whether the program itself is a Go program: Go's linker names its sections. */
static bool is_go(const struct process *process)
{
	char path[64];
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;
	bool found = false;
	int fd;
	Elf *elf;

	snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_getshdrstrndx(elf, &names) == 0)
		while (!found && (section = elf_nextscn(elf, section))) {
			const char *name = NULL;

			if (gelf_getshdr(section, &header))
				name = elf_strptr(elf, names, header.sh_name);
			found = name && strcmp(name, ".go.buildinfo") == 0;
		}
	elf_end(elf);
	close(fd);
	return found;
}

static int no_malloc(const struct process *process, const struct libc_search *search,
		     struct fault *fault)
{
	const char *what = "no glibc malloc: none of its files holds one";

	if (search->musl[0])
		what = "musl's malloc, whose heap fragscope does not know";
	else if (is_go(process))
		what = "Go's own allocator and no glibc malloc";
	return fault_set(
		fault, EXIT_NO_SOURCE, -ENOENT,
		"process %d (%s) uses %s; --source proc shows its memory as a whole",
		process->pid, process->comm, what);
}

int attach(const struct process *process, struct attached *attached, struct fault *fault)
{
	static const struct attached none;
	struct libc_search search = {.process = process};
	char path[64];
	struct stat stat_exe;
	int error;

	*attached = none;
	snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
	if (stat(path, &stat_exe) == 0)
		search.exe_inode = stat_exe.st_ino;
	error = maps_scan(process, look_at, &search);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read the mappings of process %d (%s): %s",
				 process->pid, process->comm, strerror(-error));
	for (unsigned i = 0; i < search.count; i++) {
		error = try_file(process, &search.file[i], attached, fault);
		if (error)
			return error;
	}
	memcpy(attached->other, search.other, sizeof(attached->other));
	return attached->count ? 0 : no_malloc(process, &search, fault);
}

int attach_unused(const struct process *process, const struct attached *attached,
		  struct fault *fault)
{
	if (attached->other[0])
		return fault_set(
			fault, EXIT_NO_SOURCE, -ENOENT,
			"process %d (%s) uses the allocator of %s, and glibc malloc is "
			"unused; --source proc shows its memory as a whole",
			process->pid, process->comm, attached->other);
	return fault_set(
		fault, EXIT_NO_SOURCE, -ENODATA,
		"in process %d (%s) glibc malloc is unused: it has allocated nothing, or "
		"brings its own allocator; --source proc shows its memory as a whole",
		process->pid, process->comm);
}

/* ---- by names alone ---- */

enum { GUESS_NONE, GUESS_GLIBC, GUESS_MUSL, GUESS_OTHER };

/* The best guess up to now: a library that is there for nothing but malloc says more than
 * a libc. */
struct guess {
	unsigned rank;
	char *name;
};

static int guess_by(const struct mapping *mapping, void *context)
{
	struct guess *guess = context;
	const char *name = base_name(mapping->name);
	unsigned rank = is_allocator_name(name) ? GUESS_OTHER
			: is_musl_name(name)	? GUESS_MUSL
			: is_libc_name(name)	? GUESS_GLIBC
						: GUESS_NONE;

	if (rank <= guess->rank)
		return 0;
	guess->rank = rank;
	if (rank == GUESS_OTHER)
		/* "libjemalloc.so.2" is jemalloc. */
		snprintf(guess->name, ATTACH_NAME, "%.*s", (int)strcspn(name + 3, ".-_"),
			 name + 3);
	else
		snprintf(guess->name, ATTACH_NAME, "%s",
			 rank == GUESS_MUSL ? "musl" : "glibc");
	return 0;
}

int attach_guess(const struct process *process, char name[ATTACH_NAME])
{
	struct guess guess = {GUESS_NONE, name};

	name[0] = '\0';
	return maps_scan(process, guess_by, &guess);
}
