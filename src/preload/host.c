#include "preload/asker.h"

#include <elf.h>
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>

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

static const void *serving_malloc(void)
{
	void *(*volatile function)(size_t) = malloc;

	return (const void *)function;
}

bool host_malloc_is_beside(const void *function)
{
	uintptr_t base = function ? object_of(function).base : 0;

	return base && base == object_of(serving_malloc()).base;
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
