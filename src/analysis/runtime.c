#include "analysis/runtime.h"

#include "base/text.h"

#include <string.h>

/* A program may be linked with CPython and never start it; started, 3.11 has some 900 KB.
 */
enum { STARTED_BYTES = 512 << 10 };

/* clang-format off */
/* What is true beside another allocator as well. */
#define JVM_REMEDY "-Xmx limits the JVM's heap. 'jcmd PID GC.heap_info' shows the heap, and 'jcmd PID VM.native_memory' the rest if it was started with -XX:NativeMemoryTracking=summary."
#define V8_REMEDY(node) "'" node " --max-old-space-size=MB' limits V8's heap. '" node " --heapsnapshot-signal=SIGUSR2' writes its contents to a file at each such signal."
#define CPYTHON_LINES "tracemalloc ('python3 -X tracemalloc') shows which lines of Python hold what."
#define PHP_BOUNDS "memory_limit in php.ini bounds what scripts hold, and memory_get_usage() in the script shows how much that is."
#define ERLANG_SHOWS "erlang:memory() in its shell shows how much Erlang's processes, binaries and tables hold."
#define INNODB_REMEDY "'SET GLOBAL innodb_buffer_pool_size=BYTES' makes it smaller while the server runs. 'SHOW ENGINE INNODB STATUS' shows how much it has (Total large memory allocated)."
#define MEMCACHED_TOO "It is memcached: '-m MB' limits its slabs, and 'stats slabs' on its port shows them."
#define GO_REMEDY "Started with GOMEMLIMIT=SIZE, the collector keeps it below SIZE if what is live allows. Go's heap profile (runtime/pprof) shows who allocates: 'go tool pprof -top PROGRAM PROFILE'."

static const struct runtime
	jvm = {"jvm", SMAPS_ANON,
		"the JVM's anonymous memory: heap, classes, code",
		JVM_REMEDY, NULL,
		"'jcmd PID System.trim_native_heap' (where 'jcmd PID help' lists it)",
		JVM_REMEDY},
	v8 = {"v8", SMAPS_ANON,
		"V8's anonymous memory: heaps and code",
		V8_REMEDY("node"), NULL, NULL, V8_REMEDY("node")},
	v8_nodejs = {"v8", SMAPS_ANON,
		"V8's anonymous memory: heaps and code",
		V8_REMEDY("nodejs"), NULL, NULL, V8_REMEDY("nodejs")},
	cpython = {"cpython", SMAPS_ANON,
		"anonymous memory, where CPython has its object arenas",
		"Started with PYTHONMALLOC=malloc, CPython has its objects in malloc's heap, which this report covers. tracemalloc ('python3 -X tracemalloc') shows which lines hold what.",
		CPYTHON_LINES, NULL, CPYTHON_LINES},
	php = {"php", SMAPS_ANON,
		"anonymous memory, where PHP has what scripts hold",
		PHP_BOUNDS " gc_mem_caches() gives back what PHP keeps free. Started with USE_ZEND_ALLOC=0, PHP has all of that in malloc's heap, which this report covers.",
		NULL, NULL, PHP_BOUNDS " gc_mem_caches() gives back what PHP keeps free."},
	erlang = {"erlang", SMAPS_ANON,
		"anonymous memory, where Erlang has its processes, binaries and tables",
		ERLANG_SHOWS " Started with 'erl +Mea min', Erlang has them in malloc's heap, which this report covers; erlang:memory() does not work then.",
		NULL, NULL, ERLANG_SHOWS},
	postgresql = {"postgresql", SMAPS_SHARED,
		"shared memory, where PostgreSQL has its shared buffers",
		"shared_buffers in postgresql.conf limits them. All processes of the server share one copy: PSS counts this one's part.", NULL, NULL, NULL},
	mariadb = {"mariadb", SMAPS_ANON,
		"anonymous memory, where MariaDB's InnoDB has its buffer pool",
		"innodb_buffer_pool_size bounds that pool; " INNODB_REMEDY, NULL, NULL,
		"innodb_buffer_pool_size bounds InnoDB's buffer pool; " INNODB_REMEDY},
	memcached = {"memcached", SMAPS_ANON,
		"anonymous memory, where memcached has its slabs",
		"'memcached -m MB' limits its slabs; 'stats slabs' on its port shows them.",
		MEMCACHED_TOO, NULL, MEMCACHED_TOO},
	musl = {"musl", SMAPS_ANON,
		"anonymous memory, where musl's malloc has its own",
		"musl's heap cannot be read; that of the same program built for glibc can. 'strace -f -e trace=brk,mmap,munmap -p PID' shows when it takes memory from the kernel.",
		NULL, NULL, NULL},
	go = {"go", SMAPS_ANON,
		"the Go runtime's anonymous memory",
		GO_REMEDY, NULL, NULL, GO_REMEDY};

static const struct {
	const char *file; /* of a mapping with code; a name that ends in * is a beginning */
	uint64_t least_bytes; /* of other anonymous memory: with less, it does not run */
	const struct runtime *runtime;
} known[] = {
	{"libjvm.so", 0, &jvm},
	{"node", 0, &v8},
	{"nodejs", 0, &v8_nodejs},
	{"libpython*", STARTED_BYTES, &cpython},
	{"python*", 0, &cpython},
	{"php*", 0, &php},
	{"libphp*", 0, &php},
	{"beam.smp", 0, &erlang},
	{"postgres", 0, &postgresql},
	{"mariadbd", 0, &mariadb},
	{"memcached", 0, &memcached},
	{"ld-musl*", 0, &musl},
	/* Debian's; that of glibc has a number behind it. */
	{"libc.so", 0, &musl},
};
/* clang-format on */

/* What follows a space was put there by the kernel: "(deleted)". */
static bool is_file(const char *path, const char *pattern)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t length = strlen(pattern);

	if (pattern[length - 1] == '*')
		return !strncmp(name, pattern, length - 1);
	return !strncmp(name, pattern, length) && (!name[length] || name[length] == ' ');
}

static bool has_file(const struct smaps *smaps, const char *pattern)
{
	for (unsigned i = 0; i < smaps->count; i++)
		if (smaps->name[i].has_code && is_file(smaps->name[i].name, pattern))
			return true;
	return false;
}

const struct runtime *runtime_of(const struct smaps *smaps, uint64_t anon_bytes)
{
	if (smaps->has_go)
		return &go;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (anon_bytes >= known[i].least_bytes && has_file(smaps, known[i].file))
			return known[i].runtime;
	return NULL;
}

void runtime_say(const char *words, int pid, char *text, size_t size)
{
	struct text to;

	text_init(&to, text, size);
	while (*words) {
		const char *word = strstr(words, "PID");
		size_t length = word ? (size_t)(word - words) : strlen(words);

		text_bytes(&to, words, length);
		words += length;
		if (!word)
			continue;
		text_u64(&to, (uint64_t)pid);
		words += strlen("PID");
	}
}
