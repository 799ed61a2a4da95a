#include "preload/allocator_ops.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* There where a sanitizer's runtime is; it watches every thread and every call. */
void __asan_init(void);
void __tsan_init(void);
void __msan_init(void);
#pragma weak __asan_init
#pragma weak __tsan_init
#pragma weak __msan_init
/* Not in every libc that this library may be loaded beside. */
#pragma weak dl_iterate_phdr
#pragma weak getauxval

struct object {
	uintptr_t addr; /* looked for */
	uintptr_t base; /* of the object that holds it; 0: none does */
	const char *name;
};

static bool holds(const struct dl_phdr_info *info, uintptr_t addr)
{
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + part->p_vaddr;

		if (part->p_type == PT_LOAD && addr >= start &&
		    addr - start < part->p_memsz)
			return true;
	}
	return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *context)
{
	struct object *object = context;

	(void)size;
	if (!holds(info, object->addr))
		return 0;
	/* The first program header is of this object alone; a load address may be 0. */
	object->base = (uintptr_t)info->dlpi_phdr;
	object->name = info->dlpi_name;
	return 1;
}

static struct object object_of(const void *addr)
{
	struct object object = {.addr = (uintptr_t)addr};

	if (dl_iterate_phdr)
		dl_iterate_phdr(look_at, &object);
	return object;
}

/* Of the library that `run --stacks` puts before malloc, which knows what is behind it;
 * null where malloc does not come by there. */
const void *fragscope_stacks_malloc(void);
#pragma weak fragscope_stacks_malloc

static const void *serving_malloc(void)
{
	void *(*volatile function)(size_t) = malloc;
	const void *behind = fragscope_stacks_malloc ? fragscope_stacks_malloc() : NULL;

	return behind ? behind : (const void *)function;
}

bool host_malloc_is_beside(const void *function)
{
	uintptr_t base = function ? object_of(function).base : 0;

	return base && base == object_of(serving_malloc()).base;
}

/* ---- functions that the program does not export ---- */

/* The program's file, mapped while it is looked at. */
struct host_image {
	const char *at;
	size_t bytes;
};

static bool map_image(struct host_image *image)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/exe",
			      O_RDONLY | O_CLOEXEC, 0);
	struct stat file;
	long at = -1;

	if (fd < 0)
		return false;
	if (!syscall(SYS_fstat, fd, &file))
		at = syscall(SYS_mmap, NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE,
			     fd, 0L);
	syscall(SYS_close, fd);
	*image = (struct host_image){(const char *)at, (size_t)file.st_size};
	return at != -1;
}

/* COUNT parts of BYTES each at OFFSET of IMAGE; null unless all of them are in it. */
static const void *part_of(const struct host_image *image, uint64_t offset,
			   uint64_t count, size_t bytes)
{
	if (offset > image->bytes || count > (image->bytes - offset) / bytes)
		return NULL;
	return image->at + offset;
}

static const ElfW(Shdr) * find_section(const struct host_image *image, unsigned type,
				       const ElfW(Shdr) * *sections)
{
	const ElfW(Ehdr) *head = part_of(image, 0, 1, sizeof(*head));

	*sections =
		head ? part_of(image, head->e_shoff, head->e_shnum, sizeof(**sections))
		     : NULL;
	for (unsigned i = 0; *sections && i < head->e_shnum; i++)
		if ((*sections)[i].sh_type == type &&
		    (*sections)[i].sh_link < head->e_shnum)
			return &(*sections)[i];
	return NULL;
}

/* TEXT ends within LEFT bytes. */
static bool is_named(const char *text, size_t left, const char *name)
{
	for (; left; left--, text++, name++) {
		if (*text != *name)
			return false;
		if (!*name)
			return true;
	}
	return false;
}

/* The value of the function NAME in IMAGE; 0: there is none. */
static uintptr_t find_function(const struct host_image *image, const char *name)
{
	const ElfW(Shdr) * sections, *table = find_section(image, SHT_SYMTAB, &sections);
	const ElfW(Shdr) *names = table ? &sections[table->sh_link] : NULL;
	const ElfW(Sym) *symbol =
		table ? part_of(image, table->sh_offset, table->sh_size / sizeof(*symbol),
				sizeof(*symbol))
		      : NULL;
	const char *text =
		names ? part_of(image, names->sh_offset, names->sh_size, 1) : NULL;

	for (size_t i = 0; symbol && text && i < table->sh_size / sizeof(*symbol); i++)
		if (ELF64_ST_TYPE(symbol[i].st_info) == STT_FUNC &&
		    symbol[i].st_shndx != SHN_UNDEF &&
		    symbol[i].st_name < names->sh_size &&
		    is_named(text + symbol[i].st_name, names->sh_size - symbol[i].st_name,
			     name))
			return symbol[i].st_value;
	return 0;
}

/* The program is the first object of the list. */
static int take_first(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	*(uintptr_t *)context = info->dlpi_addr;
	return 1;
}

const void *host_find(const char *name, const void *linked)
{
	struct object object = object_of(serving_malloc());
	struct host_image image;
	uintptr_t value, base = 0;

	if (linked || !object.base || *object.name || !map_image(&image))
		return linked;
	value = find_function(&image, name);
	syscall(SYS_munmap, image.at, image.bytes);
	if (!value)
		return NULL;
	dl_iterate_phdr(take_first, &base);
	return (const void *)(base + value);
}

bool host_is_of_program(const void *function)
{
	struct object object = object_of(function);

	return object.base && !*object.name;
}

static const char *base_name(const char *path)
{
	const char *name = path;

	for (; *path; path++)
		if (*path == '/')
			name = path + 1;
	return name;
}

void host_malloc_name(char name[RING_NAME])
{
	struct object object = object_of(serving_malloc());

	name[0] = '\0';
	host_append(name, object.base && *object.name ? base_name(object.name)
						      : "the program's own");
}

void host_append(char name[RING_NAME], const char *text)
{
	unsigned length = 0;

	while (name[length])
		length++;
	for (; *text && length < RING_NAME - 1; text++)
		name[length++] = *text;
	name[length] = '\0';
}

static bool is_under_valgrind(void)
{
	static const char mark[] = "vgpreload_";
	const char *text = getenv("LD_PRELOAD");

	for (; text && *text; text++) {
		unsigned i = 0;

		while (mark[i] && text[i] == mark[i])
			i++;
		if (!mark[i])
			return true;
	}
	return false;
}

bool host_is_off_limits(void)
{
	return !getauxval || getauxval(AT_SECURE) || __asan_init || __tsan_init ||
	       __msan_init || is_under_valgrind();
}
