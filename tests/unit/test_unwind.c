/* test_unwind.c: real programs (tests/programs/stacks.c) are stopped on their way into
 * the kernel, and their stacks told from registers and a copy of the stack alone. */
#include "target/maps.h"
#include "unwind/demangle.h"
#include "unwind/unwind.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef __x86_64__

int main(void)
{
	puts("1..0 # SKIP stacks are followed on x86-64 only");
	return 0;
}

#else

#define LARGE_TEXT "1048576"

enum { STACK_BYTES = 16 << 10, PAGE = 4096, LARGE = 1 << 20, LARGE_CHUNK = LARGE + 16 };

/* A program under test, and the thread of it that stopped last. */
struct child {
	int pid;
	int tid;
	struct process process;
	struct unwinder *unwinder;
	struct thread_state state;
	uint8_t stack[STACK_BYTES];
};

/* ---- programs ---- */

static const char *built(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned next;
	const char *top = getenv("FRAGSCOPE_BUILDDIR");
	char *to = path[next++ % 4];

	snprintf(to, PATH_MAX, "%s/tests/bin/%s", top ? top : ".", name);
	return to;
}

/* Runs in the new process before the program does; false keeps it from running. */
typedef bool prepare_fn(const char *path);

enum { STATUS_UNPREPARED = 120 };

static void spawn(struct child *child, const char *path, char *const *arguments,
		  prepare_fn *prepare)
{
	int status;

	*child = (struct child){.pid = fork()};
	assert_true(child->pid >= 0);
	if (child->pid == 0) {
		if (prepare && !prepare(path))
			_exit(STATUS_UNPREPARED);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(path, arguments);
		_exit(127);
	}
	child->tid = child->pid;
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	if (!WIFSTOPPED(status)) {
		child->pid = 0;
		return;
	}
	assert_int_equal(
		ptrace(PTRACE_SETOPTIONS, child->pid, NULL,
		       PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE),
		0);
}

/* Copies from the address space of the thread as much of its stack as there is. */
static uint32_t copy_stack(int tid, uint64_t from, uint8_t *to, uint32_t size)
{
	uint32_t done = 0;

	while (done < size) {
		uint64_t at = from + done;
		size_t length = PAGE - at % PAGE;
		struct iovec local, remote = {(void *)(uintptr_t)at, 0};

		if (length > size - done)
			length = size - done;
		remote.iov_len = length;
		local = (struct iovec){to + done, length};
		if (process_vm_readv(tid, &local, 1, &remote, 1, 0) != (ssize_t)length)
			break;
		done += length;
	}
	return done;
}

static void take_state(struct child *child, const struct user_regs_struct *r)
{
	const uint64_t reg[UNWIND_REGISTERS] = {
		r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
		r->r9,	r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip,
	};

	memcpy(child->state.reg, reg, sizeof(reg));
	child->state.stack_addr = r->rsp;
	child->state.stack = child->stack;
	child->state.stack_bytes =
		copy_stack(child->tid, r->rsp, child->stack, sizeof(child->stack));
}

/* Runs until some thread enters the system call NUMBER. */
static void run_to(struct child *child, long number)
{
	struct user_regs_struct registers;
	int status, pass = 0;

	for (;;) {
		assert_int_equal(
			ptrace(PTRACE_SYSCALL, child->tid, NULL, (void *)(intptr_t)pass),
			0);
		do {
			child->tid = waitpid(-1, &status, __WALL);
			assert_true(child->tid > 0);
		} while (!WIFSTOPPED(status) && child->tid != child->pid);
		assert_true(WIFSTOPPED(status));
		pass = WSTOPSIG(status);
		if (pass == SIGSTOP || pass == SIGTRAP)
			pass = 0;
		if (pass != (SIGTRAP | 0x80))
			continue;
		pass = 0;
		assert_int_equal(ptrace(PTRACE_GETREGS, child->tid, NULL, &registers), 0);
		/* So it is on the way in only. */
		if ((long)registers.orig_rax != number || (long)registers.rax != -ENOSYS)
			continue;
		take_state(child, &registers);
		return;
	}
}

static void to_mark(struct child *child)
{
	run_to(child, SYS_getppid);
}

static void open_unwinder(struct child *child)
{
	struct fault fault = {.text = ""};
	int error = process_open(&child->process, child->pid, &fault);

	if (!error)
		error = unwind_new(&child->unwinder, &child->process, &fault);
	if (error)
		fail_msg("%s", fault.text);
}

static void start_prepared(struct child *child, const char *path, char *const *arguments,
			   prepare_fn *prepare)
{
	spawn(child, path, arguments, prepare);
	if (!child->pid)
		return;
	to_mark(child);
	open_unwinder(child);
}

/* Starts WAY of PROGRAM and runs it to its first mark. */
static void start(struct child *child, const char *program, const char *way,
		  const char *argument)
{
	char *const arguments[] = {"stacks", (char *)way, (char *)argument, NULL};

	start_prepared(child, built(program), arguments, NULL);
}

static void end(struct child *child)
{
	int status, tid;

	unwind_free(child->unwinder);
	process_close(&child->process);
	kill(child->pid, SIGKILL);
	/* Its other threads have to be collected before it. */
	do
		tid = waitpid(-1, &status, __WALL);
	while (tid > 0 && (tid != child->pid || WIFSTOPPED(status)));
}

/* ---- what is asked of an event ---- */

static struct event event;

static void unwind(struct child *child)
{
	event = (struct event){.kind = EVENT_MMAP};
	assert_int_equal(unwind_event(child->unwinder, &child->state, &event), 0);
	assert_true(event.has & EVENT_HAS_STACK);
}

static void show(const struct event *of)
{
	for (unsigned i = 0; i < of->frame_count; i++)
		print_message("# %2u %s+%#llx (%s)\n", i,
			      of->frame[i].function ? of->frame[i].function : "?",
			      (unsigned long long)of->frame[i].offset,
			      of->frame[i].module ? of->frame[i].module : "?");
}

static bool is(const struct frame *frame, const char *function)
{
	return frame->function && strcmp(frame->function, function) == 0;
}

/* The place of FUNCTION at or after FROM; it must be there. */
static unsigned find(unsigned from, const char *function)
{
	for (unsigned i = from; i < event.frame_count; i++)
		if (is(&event.frame[i], function))
			return i;
	show(&event);
	fail_msg("no frame %s", function);
	return 0;
}

/* The frames FUNCTION..., which a null ends, lie one upon the other. */
static unsigned assert_chain(const char *const *function)
{
	unsigned at = find(0, *function);

	for (; *function; function++, at++)
		if (at >= event.frame_count || !is(&event.frame[at], *function)) {
			show(&event);
			fail_msg("frame %u is not %s", at, *function);
		}
	return at;
}

#define ASSERT_CHAIN(...) assert_chain((const char *const[]){__VA_ARGS__, NULL})

static void assert_whole(bool whole)
{
	if (event.stack_whole != whole)
		show(&event);
	assert_int_equal(event.stack_whole, whole);
}

/* From 2.42 on malloc jumps to another function, which only libc's own symbols name. */
static bool malloc_stays(void)
{
	return strverscmp(gnu_get_libc_version(), "2.42") < 0;
}

static void assert_in_malloc(void)
{
	if (malloc_stays())
		find(0, "malloc");
	assert_false(event.not_malloc);
}

/* ---- the tests ---- */

static void a_plain_program_is_followed_to_its_start(void **state)
{
	struct child child;
	unsigned last;

	(void)state;
	start(&child, "stacks", "grow", LARGE_TEXT);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	assert_in_malloc();
	assert_string_equal(event.frame[0].function, "mmap");
	assert_true(strncmp(event.frame[0].module, "libc", 4) == 0);
	last = ASSERT_CHAIN("inner", "outer", "grow", "main");
	assert_string_equal(event.frame[last - 1].module, "stacks");
	assert_true(event.frame[last - 1].offset > 0);
	assert_true(is(&event.frame[event.frame_count - 1], "_start"));
	end(&child);
}

static void a_moved_break_is_followed(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks", "grow", "100000");
	run_to(&child, SYS_brk);
	run_to(&child, SYS_brk);
	unwind(&child);
	assert_whole(true);
	assert_in_malloc();
	assert_string_equal(event.frame[0].function, "brk");
	ASSERT_CHAIN("inner", "outer", "grow", "main");
	end(&child);
}

/* No symbols: the places in the file stand for the names. */
static void a_stripped_program_has_its_frames(void **state)
{
	struct child child;
	unsigned own = 0;

	(void)state;
	start(&child, "stacks-stripped", "grow", LARGE_TEXT);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	assert_in_malloc();
	for (unsigned i = 0; i < event.frame_count; i++) {
		if (strcmp(event.frame[i].module, "stacks-stripped") != 0)
			continue;
		own++;
		assert_null(event.frame[i].function);
		assert_in_range(event.frame[i].offset, 0x1000, 0x10000);
	}
	assert_int_equal(own, 5); /* inner, outer, grow, main, _start */
	end(&child);
}

static void a_static_program_is_followed(void **state)
{
	static const char *const names[] = {"stacks-static", "stacks-static-pie"};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct child child;

		start(&child, names[i], "grow", LARGE_TEXT);
		run_to(&child, SYS_mmap);
		unwind(&child);
		assert_whole(true);
		assert_in_malloc();
		ASSERT_CHAIN("inner", "outer", "grow", "main");
		assert_string_equal(event.frame[0].module, names[i]);
		end(&child);
	}
}

static void a_name_in_cpp_is_readable(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks-cpp", NULL, NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	find(0, "operator new(unsigned long)");
	ASSERT_CHAIN("shapes::Box<int>::fill(unsigned long)", "main");
	end(&child);
}

static void a_thread_is_followed_to_its_start(void **state)
{
	struct child child;
	unsigned last;

	(void)state;
	start(&child, "stacks", "thread", NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_int_not_equal(child.tid, child.pid);
	assert_whole(true);
	last = ASSERT_CHAIN("inner", "outer", "thread_start");
	assert_true(last < event.frame_count);
	end(&child);
}

static void a_library_loaded_late_is_found(void **state)
{
	struct child child;
	char *const arguments[] = {"stacks", "plugins", (char *)built("plugin-a.so"),
				   (char *)built("plugin-b.so"), NULL};
	unsigned last;

	(void)state;
	start_prepared(&child, built("stacks"), arguments, NULL);
	to_mark(&child);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	last = ASSERT_CHAIN("plugin_a", "entry", "plugins", "main");
	assert_string_equal(event.frame[last - 3].module, "plugin-a.so");
	/* The other one comes to lie where the first one was. */
	to_mark(&child);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	last = ASSERT_CHAIN("plugin_b", "entry", "plugins", "main");
	assert_string_equal(event.frame[last - 3].module, "plugin-b.so");
	end(&child);
}

/* The event is told late, when its library is gone. */
static void a_library_that_is_gone_is_still_told(void **state)
{
	struct child child;
	struct thread_state then;
	static uint8_t stack[STACK_BYTES];
	char *const arguments[] = {"stacks", "plugins", (char *)built("plugin-a.so"),
				   NULL};

	(void)state;
	start_prepared(&child, built("stacks"), arguments, NULL);
	to_mark(&child);
	run_to(&child, SYS_mmap);
	unwind(&child);
	then = child.state;
	then.stack = memcpy(stack, child.stack, sizeof(stack));
	to_mark(&child); /* behind its dlclose */
	child.state = then;
	unwind(&child);
	assert_whole(true);
	ASSERT_CHAIN("plugin_a", "entry", "plugins", "main");
	end(&child);
}

static void copy_file(const char *from, const char *to)
{
	char buffer[8192];
	ssize_t got;
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	while (in >= 0 && out >= 0 && (got = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, (size_t)got) != got)
			break;
	close(in);
	close(out);
}

/* Whether files that are mapped but gone can be opened: that takes a capability. */
static bool may_open_what_is_gone(void)
{
	DIR *directory = opendir("/proc/self/map_files");
	struct dirent *entry;
	struct stat found;
	bool may = false;

	while (directory && !may && (entry = readdir(directory)))
		may = entry->d_name[0] != '.' &&
		      fstatat(dirfd(directory), entry->d_name, &found, 0) == 0;
	if (directory)
		closedir(directory);
	return may;
}

static void a_replaced_program_is_still_known(void **state)
{
	char *const arguments[] = {"stacks", "grow", LARGE_TEXT, NULL};
	char path[] = "/tmp/fragscope-stacks-XXXXXX";
	struct child child;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	copy_file(built("stacks"), path);
	chmod(path, 0755);
	spawn(&child, path, arguments, NULL);
	to_mark(&child);
	assert_int_equal(unlink(path), 0);
	copy_file(built("stacks-cpp"), path);
	open_unwinder(&child);
	run_to(&child, SYS_mmap);
	unwind(&child);
	unlink(path);
	assert_whole(may_open_what_is_gone());
	if (event.stack_whole)
		ASSERT_CHAIN("inner", "outer", "grow", "main");
	end(&child);
}

/* The program's file is where only it can see it. */
static bool go_elsewhere(const char *path)
{
	char directory[PATH_MAX];

	snprintf(directory, sizeof(directory), "%.*s", (int)(strrchr(path, '/') - path),
		 path);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", directory, "tmpfs", 0, NULL))
		return false;
	copy_file(built("stacks"), path);
	return true;
}

static void another_mount_namespace_is_no_hindrance(void **state)
{
	char *const arguments[] = {"stacks", "grow", LARGE_TEXT, NULL};
	char directory[] = "/tmp/fragscope-elsewhere-XXXXXX", path[PATH_MAX];
	struct child child;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/stacks", directory);
	start_prepared(&child, path, arguments, go_elsewhere);
	rmdir(directory);
	if (!child.pid) {
		print_message("# no mount namespace to be had\n");
		return;
	}
	assert_int_equal(access(path, F_OK), -1);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	ASSERT_CHAIN("inner", "outer", "grow", "main");
	end(&child);
}

/* A signal's frame is passed, and what it interrupted is named by its own address. */
static void a_handler_is_passed(void **state)
{
	struct child child;
	unsigned at;

	(void)state;
	start(&child, "stacks", "handler", NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	at = ASSERT_CHAIN("inner", "outer", "handler");
	at = find(at, "trap");
	assert_int_equal(event.frame[at].offset, 0);
	ASSERT_CHAIN("trap", "in_a_handler", "main");
	end(&child);
}

static void it_stops_where_frame_information_does(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks", "blind", NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(false);
	assert_int_equal(ASSERT_CHAIN("inner", "outer", "blind"), event.frame_count);
	assert_false(event.not_malloc);
	end(&child);
}

/* A copy that is too short gives the beginning of the same stack. */
static void it_stops_where_the_copy_does(void **state)
{
	static struct event whole;
	struct child child;
	uint32_t length;
	unsigned count = 0;

	(void)state;
	start(&child, "stacks", "deep", NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	whole = event;
	length = child.state.stack_bytes;
	for (child.state.stack_bytes = 0; child.state.stack_bytes < 1024;
	     child.state.stack_bytes += 8) {
		unwind(&child);
		assert_whole(false);
		assert_in_range(event.frame_count, count ? count : 1,
				whole.frame_count - 1);
		count = event.frame_count;
		for (unsigned i = 0; i < count; i++)
			assert_true(event.frame[i].pc == whole.frame[i].pc);
	}
	assert_true(count > 5);
	child.state.stack_bytes = length;
	child.state.missing_pages = 1;
	unwind(&child);
	assert_whole(false);
	assert_int_equal(event.frame_count, 1);
	child.state.missing_pages = ~UINT64_C(3);
	unwind(&child);
	assert_whole(true);
	assert_int_equal(event.frame_count, whole.frame_count);
	end(&child);
}

static void what_malloc_did_not_ask_for_is_told(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks", "not-by-malloc", NULL);
	run_to(&child, SYS_mmap);
	unwind(&child);
	assert_whole(true);
	assert_true(event.not_malloc);
	assert_false(event.has & EVENT_HAS_REQUEST);
	to_mark(&child);
	run_to(&child, SYS_brk);
	unwind(&child);
	assert_whole(true);
	assert_true(event.not_malloc);
	end(&child);
}

static void a_process_that_ended_is_still_told(void **state)
{
	struct child child;
	int status;

	(void)state;
	start(&child, "stacks", "grow", LARGE_TEXT);
	run_to(&child, SYS_mmap);
	kill(child.pid, SIGKILL);
	assert_int_equal(waitpid(child.pid, &status, __WALL), child.pid);
	unwind(&child);
	assert_whole(true);
	ASSERT_CHAIN("inner", "outer", "grow", "main");
	unwind_free(child.unwinder);
	process_close(&child.process);
}

static void two_unwinders_go_together(void **state)
{
	struct child a, b;

	(void)state;
	start(&a, "stacks", "grow", LARGE_TEXT);
	run_to(&a, SYS_mmap);
	start(&b, "stacks-static", "grow", LARGE_TEXT);
	run_to(&b, SYS_mmap);
	for (unsigned i = 0; i < 3; i++) {
		unwind(&a);
		assert_whole(true);
		ASSERT_CHAIN("inner", "outer", "grow", "main");
		assert_true(strncmp(event.frame[0].module, "libc", 4) == 0);
		unwind(&b);
		assert_whole(true);
		ASSERT_CHAIN("inner", "outer", "grow", "main");
		assert_string_equal(event.frame[0].module, "stacks-static");
	}
	end(&b);
	end(&a);
}

/* ---- requests ---- */

static uint64_t chunk_of(uint64_t bytes)
{
	bytes = (bytes + 8 + 15) & ~UINT64_C(15);
	return bytes < 32 ? 32 : bytes;
}

/* Only where libc's debug information is installed is there a size at all. */
static bool has_exact_request(void)
{
	if (event.has & EVENT_HAS_REQUEST)
		return true;
	print_message("# libc's debug information is not installed\n");
	return false;
}

static void a_request_is_exact(void **state)
{
	static const char *const sizes[] = {"200000",  "200008",  "200009",  "262143",
					    "1048576", "1048577", "33333333"};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		struct child child;
		bool has;

		start(&child, "stacks", "grow", sizes[i]);
		run_to(&child, SYS_mmap);
		unwind(&child);
		has = has_exact_request();
		end(&child);
		if (!has)
			return;
		assert_true(event.request.exact && !event.request.tolerance_bytes);
		assert_int_equal(event.request.bytes,
				 chunk_of(strtoull(sizes[i], NULL, 10)));
	}
}

static void a_request_from_the_break_is_exact(void **state)
{
	static const char *const sizes[] = {"70000", "100000", "100008", "100009",
					    "131000"};

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		/* After the first one there is not enough left for the second. */
		char *const arguments[] = {"stacks", "grow", "100000", (char *)sizes[i],
					   NULL};
		struct child child;
		bool has;

		start_prepared(&child, built("stacks"), arguments, NULL);
		to_mark(&child);
		run_to(&child, SYS_brk);
		unwind(&child);
		has = has_exact_request();
		end(&child);
		if (!has)
			return;
		assert_int_equal(event.request.bytes,
				 chunk_of(strtoull(sizes[i], NULL, 10)));
	}
}

static void a_resized_mapping_has_an_exact_request(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks", "resize", "3000001");
	run_to(&child, SYS_mremap);
	unwind(&child);
	assert_whole(true);
	assert_false(event.not_malloc);
	ASSERT_CHAIN("resize", "main");
	if (has_exact_request())
		assert_int_equal(event.request.bytes, chunk_of(3000001));
	end(&child);
}

/* What is known before stays when there is nothing better. */
static void a_known_request_is_kept(void **state)
{
	struct child child;

	(void)state;
	start(&child, "stacks", "not-by-malloc", NULL);
	run_to(&child, SYS_mmap);
	event = (struct event){.has = EVENT_HAS_REQUEST | EVENT_HAS_BYTES,
			       .request = {.bytes = 4096, .tolerance_bytes = 4095}};
	assert_int_equal(unwind_event(child.unwinder, &child.state, &event), 0);
	assert_int_equal(event.has,
			 EVENT_HAS_REQUEST | EVENT_HAS_BYTES | EVENT_HAS_STACK);
	assert_true(event.request.bytes == 4096 && event.request.tolerance_bytes == 4095);
	assert_false(event.request.exact);
	end(&child);
}

/* ---- where a return address lies ---- */

/* In a stopped thread it must lie where the caller's frame came from. */
static void assert_return_offset(struct child *child, const char *function)
{
	uint64_t value;
	int offset = -1;

	unwind(child);
	assert_int_equal(unwind_return_offset(child->unwinder, event.frame[0].pc,
					      function, &offset),
			 0);
	assert_in_range(offset, 0, 1024);
	memcpy(&value, child->stack + offset, sizeof(value));
	assert_true(value == event.frame[1].pc);
}

static void the_return_address_is_where_it_is_said_to_be(void **state)
{
	struct child child;
	int offset = 4711;

	(void)state;
	start(&child, "stacks", "grow", LARGE_TEXT);
	run_to(&child, SYS_mmap);
	assert_return_offset(&child, "mmap");
	assert_int_equal(unwind_return_offset(child.unwinder, event.frame[0].pc,
					      "no_such_function", &offset),
			 -ENOENT);
	assert_int_equal(unwind_return_offset(child.unwinder, event.frame[0].pc, "malloc",
					      &offset),
			 -ENOENT);
	assert_int_equal(unwind_return_offset(child.unwinder, 16, "mmap", &offset),
			 -ENOENT);
	assert_int_equal(offset, 4711);
	end(&child);
	start(&child, "stacks", "resize", "3000000");
	run_to(&child, SYS_mremap);
	assert_return_offset(&child, "mremap");
	end(&child);
	start(&child, "stacks-static", "grow", LARGE_TEXT);
	run_to(&child, SYS_mmap);
	assert_return_offset(&child, "mmap");
	end(&child);
}

/* Maps FILE's code, as its loader would; where, or null. */
static void *map_code(const char *file, size_t *size)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment[16];
	void *at = NULL;
	int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	assert_in_range(header.e_phnum, 1, 16);
	assert_int_equal(pread(fd, segment, header.e_phnum * sizeof(*segment),
			       (off_t)header.e_phoff),
			 header.e_phnum * sizeof(*segment));
	for (unsigned i = 0; !at && i < header.e_phnum; i++) {
		if (segment[i].p_type != PT_LOAD || !(segment[i].p_flags & PF_X))
			continue;
		*size = segment[i].p_filesz;
		at = mmap(NULL, *size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd,
			  (off_t)(segment[i].p_offset & ~UINT64_C(0xfff)));
		assert_ptr_not_equal(at, MAP_FAILED);
	}
	close(fd);
	return at;
}

static const char *fetched_libc(const char *version, const char *directory)
{
	static char path[PATH_MAX];
	const char *cache = getenv("FRAGSCOPE_LIBC_CACHE");
	const char *user = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const char *rest = "";

	if (!cache && user) {
		cache = user;
		rest = "/fragscope/libc";
	} else if (!cache) {
		cache = home ? home : "/root";
		rest = "/.cache/fragscope/libc";
	}
	snprintf(path, sizeof(path), "%s%s/%s/%s/x86_64-linux-gnu/libc.so.6", cache, rest,
		 version, directory);
	return path;
}

/* Debian's builds for x86-64, where they were fetched for other tests. */
static void other_libcs_have_their_return_addresses(void **state)
{
	static const struct {
		const char *version;
		int mmap, mremap;
	} known[] = {{"2.31", 16, 0},
		     {"2.36", 0, 0x58},
		     {"2.41", 16, 0x58},
		     {"2.43", 16, 0x58},
		     {"2.44", 16, 0x58}};
	struct process process;
	struct fault fault;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(process_open(&process, getpid(), &fault), 0);
	for (unsigned i = 0; i < sizeof(known) / sizeof(*known); i++) {
		const char *version = known[i].version;
		struct unwinder *unwinder;
		size_t size = 0;
		void *code = map_code(fetched_libc(version, "lib"), &size);
		int offset = -1;

		if (!code)
			code = map_code(fetched_libc(version, "usr/lib"), &size);
		if (!code)
			continue;
		seen++;
		assert_int_equal(unwind_new(&unwinder, &process, &fault), 0);
		assert_int_equal(
			unwind_return_offset(unwinder, (uintptr_t)code, "mmap", &offset),
			0);
		assert_int_equal(offset, known[i].mmap);
		assert_int_equal(unwind_return_offset(unwinder, (uintptr_t)code, "mremap",
						      &offset),
				 0);
		assert_int_equal(offset, known[i].mremap);
		unwind_free(unwinder);
		munmap(code, size);
	}
	process_close(&process);
	if (!seen)
		print_message("# no other libc was fetched\n");
}

/* Each step of the name says the one before it three times: 33 of them would be a text of
 * more than 3^33 bytes. */
static void a_name_that_stands_for_gigabytes_is_left_as_it_is(void **state)
{
	static const char digits[] = "123456789ABCDEFGHIJKLMNOPQRSTUVWX";
	char name[1024] = "_Z1f1A1PIS_S_E", *text;

	(void)state;
	for (size_t i = 0; digits[i]; i++)
		snprintf(name + strlen(name), sizeof(name) - strlen(name),
			 "S0_IS%c_S%c_E", digits[i], digits[i]);
	assert_null(demangle(name));
	text = demangle("_ZN4shop6BasketIiE3addERKSt6vectorIiSaIiEE");
	assert_non_null(text);
	assert_string_equal(
		text,
		"shop::Basket<int>::add(std::vector<int, std::allocator<int> > const&)");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_program_is_followed_to_its_start),
		cmocka_unit_test(a_moved_break_is_followed),
		cmocka_unit_test(a_stripped_program_has_its_frames),
		cmocka_unit_test(a_static_program_is_followed),
		cmocka_unit_test(a_name_in_cpp_is_readable),
		cmocka_unit_test(a_thread_is_followed_to_its_start),
		cmocka_unit_test(a_library_loaded_late_is_found),
		cmocka_unit_test(a_library_that_is_gone_is_still_told),
		cmocka_unit_test(a_replaced_program_is_still_known),
		cmocka_unit_test(another_mount_namespace_is_no_hindrance),
		cmocka_unit_test(a_handler_is_passed),
		cmocka_unit_test(it_stops_where_frame_information_does),
		cmocka_unit_test(it_stops_where_the_copy_does),
		cmocka_unit_test(what_malloc_did_not_ask_for_is_told),
		cmocka_unit_test(a_process_that_ended_is_still_told),
		cmocka_unit_test(two_unwinders_go_together),
		cmocka_unit_test(a_request_is_exact),
		cmocka_unit_test(a_request_from_the_break_is_exact),
		cmocka_unit_test(a_resized_mapping_has_an_exact_request),
		cmocka_unit_test(a_known_request_is_kept),
		cmocka_unit_test(the_return_address_is_where_it_is_said_to_be),
		cmocka_unit_test(other_libcs_have_their_return_addresses),
		cmocka_unit_test(a_name_that_stands_for_gigabytes_is_left_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
