#include "owners/debugfile.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Opens the file that the build-id of NOTE's section names; -1: none. *IS_ID: it holds a
 * build-id. */
static int open_named(Elf_Data *data, bool *is_id)
{
	size_t name, desc, used;
	const uint8_t *id;
	GElf_Nhdr note;
	char path[128];

	*is_id = data && gelf_getnote(data, 0, &note, &name, &desc) &&
		 note.n_type == NT_GNU_BUILD_ID && note.n_descsz >= 3 &&
		 note.n_descsz <= 32;
	if (!*is_id)
		return -1;
	id = (const uint8_t *)data->d_buf + desc;
	used = (size_t)snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%02x/",
				id[0]);
	for (unsigned i = 1; i < note.n_descsz; i++)
		used += (size_t)snprintf(path + used, sizeof(path) - used, "%02x", id[i]);
	snprintf(path + used, sizeof(path) - used, ".debug");
	return open(path, O_RDONLY | O_CLOEXEC);
}

Elf *debugfile_of(Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	bool is_id = false;
	int fd = -1;

	while (!is_id && (section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_NOTE)
			fd = open_named(elf_getdata(section, NULL), &is_id);
	return fd >= 0 ? elf_begin(fd, ELF_C_READ_MMAP, NULL) : NULL;
}
