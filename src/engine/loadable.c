#include "engine/loadable.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { SCRIPTS_MAX = 5 /* that the kernel follows, too */ };

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_NONE };
#endif

/* What of a program's dynamic part tells whether a library can be loaded. */
struct traits {
	bool is_elf, is_native, has_loader, is_loader, is_musl, has_asan;
	bool has_malloc; /* of its own, for all that it loads */
};

static bool begins(const char *text, const char *with)
{
	return text && strncmp(text, with, strlen(with)) == 0;
}

/* ---- finding the file ---- */

static int runnable(const char *path)
{
	struct stat stat_file;

	if (stat(path, &stat_file))
		return -errno;
	if (S_ISDIR(stat_file.st_mode))
		return -EISDIR;
	return access(path, X_OK) ? -errno : 0;
}

/* The first of PATH's directories that has a WORD which may be run; should none, a WORD
 * that may not be tells more than that there is none. */
static int find_in_path(const char *word, char path[PATH_MAX])
{
	const char *dir = getenv("PATH");
	int worst = -ENOENT;

	if (!dir)
		dir = "/bin:/usr/bin";
	for (;; dir++) {
		int length = (int)strcspn(dir, ":"), error;

		snprintf(path, PATH_MAX, "%.*s%s%s", length, dir, length ? "/" : "./",
			 word);
		error = runnable(path);
		if (!error)
			return 0;
		if (error == -EACCES)
			worst = error;
		dir += length;
		if (!*dir)
			return worst;
	}
}

static int find(const char *word, char path[PATH_MAX], struct fault *fault)
{
	int error;

	if (strchr(word, '/')) {
		snprintf(path, PATH_MAX, "%s", word);
		error = runnable(path);
	} else {
		error = *word ? find_in_path(word, path) : -ENOENT;
	}
	if (!error)
		return 0;
	return fault_set(fault,
			 error == -ENOENT || error == -ENOTDIR ? EXIT_NOT_FOUND
							       : EXIT_NOT_RUNNABLE,
			 error, "cannot run '%s': %s", word, strerror(-error));
}

/* ---- looking into it ---- */

/* If FD is a script: its interpreter to PATH. */
static bool script_interpreter(int fd, char path[PATH_MAX])
{
	char line[PATH_MAX] = "";
	char *name;

	if (pread(fd, line, sizeof(line) - 1, 0) < 0 || !begins(line, "#!"))
		return false;
	name = line + 2;
	name += strspn(name, " \t");
	name[strcspn(name, " \t\n")] = '\0';
	memcpy(path, name, strlen(name) + 1);
	return true;
}

static void take_loader_name(Elf *elf, const GElf_Phdr *header, struct traits *traits)
{
	size_t size;
	const char *file = elf_rawfile(elf, &size);
	const char *name, *slash;

	if (!file || header->p_offset >= size || header->p_filesz == 0 ||
	    header->p_filesz > size - header->p_offset)
		return;
	name = file + header->p_offset;
	if (name[header->p_filesz - 1])
		return;
	slash = strrchr(name, '/');
	traits->has_loader = true;
	traits->is_musl = begins(slash ? slash + 1 : name, "ld-musl");
}

static void take_dynamic(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
			 struct traits *traits)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Dyn dyn;

	for (int i = 0; data && gelf_getdyn(data, i, &dyn) && dyn.d_tag != DT_NULL; i++) {
		const char *name;

		if (dyn.d_tag != DT_NEEDED && dyn.d_tag != DT_SONAME)
			continue;
		name = elf_strptr(elf, header->sh_link, dyn.d_un.d_val);
		if (dyn.d_tag == DT_NEEDED && begins(name, "libasan.so"))
			traits->has_asan = true;
		if (dyn.d_tag == DT_SONAME && begins(name, "ld-linux"))
			traits->is_loader = true;
	}
}

/* clang links its sanitizer in, and exports it, and so does the linker with an allocator
 * that libraries ask for. */
static void take_symbols(Elf *elf, Elf_Scn *section, const GElf_Shdr *header,
			 struct traits *traits)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym symbol;

	for (int i = 0; data && gelf_getsym(data, i, &symbol); i++) {
		const char *name = elf_strptr(elf, header->sh_link, symbol.st_name);

		if (symbol.st_shndx == SHN_UNDEF || !name)
			continue;
		traits->has_asan |= !strcmp(name, "__asan_init");
		traits->has_malloc |= !strcmp(name, "malloc");
	}
}

static void take_elf(Elf *elf, struct traits *traits)
{
	Elf_Scn *section = NULL;
	GElf_Ehdr ehdr;
	GElf_Phdr phdr;
	GElf_Shdr shdr;
	size_t count = 0;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &ehdr))
		return;
	traits->is_elf = true;
	traits->is_native =
		ehdr.e_ident[EI_CLASS] == ELFCLASS64 && ehdr.e_machine == MACHINE;
	elf_getphdrnum(elf, &count);
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, (int)i, &phdr) && phdr.p_type == PT_INTERP)
			take_loader_name(elf, &phdr, traits);
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &shdr))
			continue;
		if (shdr.sh_type == SHT_DYNAMIC)
			take_dynamic(elf, section, &shdr, traits);
		else if (shdr.sh_type == SHT_DYNSYM)
			take_symbols(elf, section, &shdr, traits);
	}
}

static struct traits traits_of(int fd)
{
	struct traits traits = {0};
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf)
		take_elf(elf, &traits);
	elf_end(elf);
	return traits;
}

/* ---- judging it ---- */

/* Whether running the file gives the process rights that its starter has not: then the
 * loader heeds no LD_PRELOAD. */
static bool gains_rights(const char *path, int fd)
{
	struct statvfs mount;
	struct stat file;
	bool gains;

	if (fstat(fd, &file) || fstatvfs(fd, &mount))
		return false;
	if ((mount.f_flag & ST_NOSUID) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	gains = (file.st_mode & S_ISUID) && file.st_uid != getuid();
	gains |= (file.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
		 file.st_gid != getgid();
	gains |= getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0;
	return gains;
}

/* What keeps the sampler out of a program with these TRAITS; null: nothing. A file that
 * is no ELF is run by the shell. */
static const char *obstacle(const struct traits *traits, bool stacks)
{
	if (!traits->is_elf || traits->is_loader)
		return NULL;
	if (!traits->is_native)
		return "is a program for another machine";
	if (!traits->has_loader)
		return "is linked statically: no loader runs in it";
	if (traits->is_musl)
		return "is linked to musl, and the sampler to glibc";
	if (traits->has_asan)
		return "is built with AddressSanitizer, which must be the first library";
	if (stacks && traits->has_malloc)
		return "has a malloc of its own, which the loader finds before any "
		       "other: its calls cannot be sampled. It runs without --stacks";
	return NULL;
}

static int judge(const char *path, int fd, bool stacks, struct fault *fault)
{
	struct traits traits = traits_of(fd);
	const char *why = obstacle(&traits, stacks);

	if (gains_rights(path, fd))
		return fault_set(fault, EXIT_NOT_PERMITTED, -EPERM,
				 "cannot put the sampler into '%s': it changes its user "
				 "or gains capabilities, and the loader preloads nothing "
				 "into such a program",
				 path);
	if (why)
		return fault_set(fault, EXIT_NO_SOURCE, -ENOEXEC,
				 "cannot put the sampler into '%s': it %s", path, why);
	return 0;
}

int loadable_check(const char *word, bool stacks, struct fault *fault)
{
	char path[PATH_MAX];
	int error = find(word, path, fault);
	bool is_script = true;

	for (int i = 0; !error && is_script && i < SCRIPTS_MAX; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		/* What may be run but not read is looked at by the loader alone. */
		if (fd < 0)
			return 0;
		is_script = script_interpreter(fd, path);
		if (!is_script)
			error = judge(path, fd, stacks, fault);
		close(fd);
	}
	return error;
}
