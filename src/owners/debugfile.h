/* debugfile.h: the debug file that belongs to an ELF file. */
#ifndef FRAGSCOPE_DEBUGFILE_H
#define FRAGSCOPE_DEBUGFILE_H

#include <libelf.h>

/* The file that ELF's build-id names, in the place where Debian and Fedora put it, or
 * null. For a child that ends (base/subprocess.h): it is never closed. */
Elf *debugfile_of(Elf *elf);

#endif
