#include "unwind/unwind.h"

#include "base/clock.h"
#include "base/machine.h"
#include "unwind/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	SCAN_INTERVAL_NS = 1000 * 1000 * 1000,
};

#ifdef __aarch64__
static const struct machine this_machine = {
	.elf = EM_AARCH64,
	.name = "arm64",
	.address_bits = ADDRESS_BITS,
	.syscall = {0x01, 0x00, 0x00, 0xd4}, /* svc #0 */
	.syscall_bytes = 4,
	.instruction_step = 4,
#else
static const struct machine this_machine = {
	.elf = EM_X86_64,
	.name = "x86-64",
	.numbers_pc = true,
	.address_bits = 64,
	.syscall = {0x0f, 0x05},
	.syscall_bytes = 2,
	.instruction_step = 1,
#endif
	.registers = UNWIND_REGISTERS,
	.stack_pointer = UNWIND_STACK_POINTER,
};

/* One way up a stack. */
struct stack_walk {
	struct unwinder *unwinder;
	struct event *event;
	const struct module *inner; /* where it began */
	bool is_strange;	    /* it came to code of no module */
	bool left_inner;
	bool met_malloc;
	bool met_nameless; /* before it left the first module */
};

/* ---- what libdwfl asks for ---- */

static pid_t next_thread(Dwfl *dwfl, void *context, void **thread_context)
{
	(void)dwfl;
	(void)context;
	(void)thread_context;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *context, void **thread_context)
{
	(void)dwfl;
	(void)tid;
	*thread_context = context;
	return true;
}

/* VALUE, or where it leads when it is a return address that the processor has signed: the
 * bits that no address has are its signature then. */
static uint64_t unsigned_address(struct unwinder *unwinder, uint64_t value)
{
	unsigned bits = unwinder->machine->address_bits;
	uint64_t addr = bits < 64 ? value & ((UINT64_C(1) << bits) - 1) : value;

	return addr != value && modules_at(unwinder, addr) ? addr : value;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *context)
{
	struct unwinder *unwinder = context;
	uint64_t value;

	(void)dwfl;
	if (!stack_read(unwinder->state, addr, &value))
		return false;
	*result = unsigned_address(unwinder, value);
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *context)
{
	const struct unwinder *unwinder = context;
	const uint64_t *reg = unwinder->state->reg;
	unsigned pc = unwinder->machine->registers - 1;

	if (unwinder->machine->numbers_pc)
		return dwfl_thread_state_registers(thread, 0, pc + 1, reg);
	dwfl_thread_state_register_pc(thread, reg[pc]);
	return dwfl_thread_state_registers(thread, 0, pc, reg);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

/* Every module comes with its file. */
static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		    char **file_name, Elf **elf)
{
	(void)module;
	(void)data;
	(void)name;
	(void)base;
	(void)file_name;
	(void)elf;
	return -1;
}

/* The standard way would ask servers on the network; this one looks by build ID in this
 * machine's directories. */
static const Dwfl_Callbacks session_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = dwfl_build_id_find_debuginfo,
};

/* ---- a walk ---- */

static void note(struct stack_walk *walk, const struct name *name)
{
	if (!walk->inner)
		walk->inner = name->module;
	if (name->module != walk->inner) {
		walk->left_inner = true;
		return;
	}
	walk->met_malloc |= name->is_malloc;
	walk->met_nameless |= !walk->left_inner && !name->function;
}

static void read_request(struct stack_walk *walk, const struct name *name,
			 Dwfl_Frame *frame)
{
	struct event *event = walk->event;
	uint64_t bytes;

	if (!name->place || (event->has & EVENT_HAS_REQUEST && event->request.exact))
		return;
	if (!request_read(walk->unwinder, name, frame, event->frame[0].function, &bytes))
		return;
	event->request = (struct event_request){.bytes = bytes, .exact = true};
	event->has |= EVENT_HAS_REQUEST;
}

static int each_frame(Dwfl_Frame *frame, void *context)
{
	struct stack_walk *walk = context;
	struct event *event = walk->event;
	struct frame *to = &event->frame[event->frame_count];
	const struct name *name;
	bool is_activation;
	Dwarf_Addr pc;

	if (event->frame_count == EVENT_FRAMES ||
	    !dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	/* A return address may lie behind the end of the function that called last. */
	name = names_find(walk->unwinder, is_activation ? pc : pc - 1);
	event->frame_count++;
	*to = (struct frame){.pc = pc};
	if (!name) {
		walk->is_strange = true;
		return DWARF_CB_ABORT;
	}
	to->function = name->function;
	to->offset = pc - name->start;
	to->module = name->module->name;
	note(walk, name);
	read_request(walk, name, frame);
	/* libdwfl itself would go on by the frame pointer where there are no rules, and
	 * take a return address that cannot be read for the end. */
	event->stack_whole = name->is_outermost;
	return name->has_cfi && !name->is_outermost ? DWARF_CB_OK : DWARF_CB_ABORT;
}

/* Malloc did not ask when none of its functions is on the way to where the thread began.
 * A nameless function of the module that called the kernel may be a part of malloc that
 * its entry jumped to, so it proves nothing. */
static bool not_malloc(const struct stack_walk *walk)
{
	return walk->event->stack_whole && walk->inner && !walk->met_malloc &&
	       !walk->met_nameless;
}

static void walk_stack(struct unwinder *unwinder, const struct thread_state *state,
		       struct event *event, bool *is_strange)
{
	struct stack_walk walk = {.unwinder = unwinder, .event = event};

	event->frame_count = 0;
	event->stack_whole = false;
	unwinder->state = state;
	dwfl_getthread_frames(unwinder->dwfl, unwinder->process->pid, each_frame, &walk);
	unwinder->state = NULL;
	event->not_malloc = not_malloc(&walk);
	if (event->frame_count)
		event->has |= EVENT_HAS_STACK;
	*is_strange = walk.is_strange;
}

/* ---- the frame of a place ---- */

struct frame_search {
	struct unwinder *unwinder;
	uint64_t addr;
	uint64_t pc, sp; /* of the frame before; 0: there was none */
	struct unwind_place *found;
	bool is_found;
};

static int each_place(Dwfl_Frame *frame, void *context)
{
	struct frame_search *search = context;
	const struct name *name;
	Dwarf_Addr pc;
	Dwarf_Word sp;
	bool is_activation;

	if (!dwfl_frame_pc(frame, &pc, &is_activation) ||
	    dwfl_frame_reg(frame, search->unwinder->machine->stack_pointer, &sp))
		return DWARF_CB_ABORT;
	search->is_found = search->sp && search->addr >= search->sp && search->addr < sp;
	if (search->is_found)
		*search->found = (struct unwind_place){search->pc, sp};
	if (search->is_found || sp <= search->sp || search->addr < sp)
		return DWARF_CB_ABORT;
	search->pc = is_activation ? pc : pc - 1;
	search->sp = sp;
	name = names_find(search->unwinder, search->pc);
	/* As above: without rules libdwfl would guess. */
	return name && name->has_cfi && !name->is_outermost ? DWARF_CB_OK
							    : DWARF_CB_ABORT;
}

int unwind_place_of(struct unwinder *unwinder, const struct thread_state *state,
		    uint64_t addr, struct unwind_place *frame)
{
	struct frame_search search = {.unwinder = unwinder, .addr = addr, .found = frame};

	unwinder->state = state;
	dwfl_getthread_frames(unwinder->dwfl, unwinder->process->pid, each_place,
			      &search);
	unwinder->state = NULL;
	return search.is_found ? 0 : -ENOENT;
}

/* ---- bringing up to date ---- */

static bool is_fresh(const struct unwinder *unwinder, const struct event *event)
{
	for (unsigned i = 0; i < event->frame_count; i++)
		if (event->frame[i].module &&
		    !modules_is_fresh(unwinder, event->frame[i].pc, false))
			return false;
	return true;
}

/* Brings the modules up to date: see modules_scan. */
static int scan(struct unwinder *unwinder)
{
	int changed = modules_scan(unwinder);

	/* What was known was known of modules that may be gone. */
	if (changed)
		names_forget(unwinder);
	return changed;
}

/* Whether the mappings should be read again after a walk. A strange pc may be code that
 * was made at run time, which no scan explains: it is worth one a second. */
static bool must_scan(struct unwinder *unwinder, const struct event *event,
		      bool is_strange)
{
	int64_t now_ns;

	if (unwinder->is_gone)
		return false;
	if (!is_fresh(unwinder, event))
		return true;
	if (!is_strange)
		return false;
	now_ns = clock_monotonic_ns();
	if (now_ns < unwinder->next_scan_ns)
		return false;
	unwinder->next_scan_ns = now_ns + SCAN_INTERVAL_NS;
	return true;
}

int unwind_event(struct unwinder *unwinder, const struct thread_state *state,
		 struct event *event)
{
	struct event again = *event;
	bool is_strange;
	int changed;

	walk_stack(unwinder, state, event, &is_strange);
	if (!must_scan(unwinder, event, is_strange))
		return 0;
	changed = scan(unwinder);
	/* Of a process that has ended, what was mapped last stays true. */
	if (changed == 0 || changed == -ESRCH)
		return 0;
	if (changed < 0)
		return changed;
	walk_stack(unwinder, state, &again, &is_strange);
	/* What is gone from the mappings by now may have been there at the event. */
	if (again.stack_whole || !event->stack_whole)
		*event = again;
	return 0;
}

/* ---- a walk for others to judge ---- */

struct plain_walk {
	struct unwinder *unwinder;
	unwind_frame_fn *fn;
	void *context;
	bool whole;
};

static int each_plain_frame(Dwfl_Frame *frame, void *context)
{
	struct plain_walk *walk = context;
	struct unwind_frame to = {0};
	const struct name *name;
	bool is_activation;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &is_activation))
		return DWARF_CB_ABORT;
	to.at.pc = pc;
	name = names_find(walk->unwinder, is_activation ? pc : pc - 1);
	if (name) {
		to.at.function = name->function;
		to.at.offset = pc - name->start;
		to.at.module = name->module->name;
		to.is_malloc = name->is_malloc;
		to.is_unsure = !name->function && name->module->has_malloc;
		to.is_signal = name->is_signal;
	}
	if (!walk->fn(&to, walk->context) || !name)
		return DWARF_CB_ABORT;
	walk->whole = name->is_outermost;
	return name->has_cfi && !name->is_outermost ? DWARF_CB_OK : DWARF_CB_ABORT;
}

bool unwind_each(struct unwinder *unwinder, const struct thread_state *state,
		 unwind_frame_fn *fn, void *context)
{
	struct plain_walk walk = {unwinder, fn, context, false};

	unwinder->state = state;
	dwfl_getthread_frames(unwinder->dwfl, unwinder->process->pid, each_plain_frame,
			      &walk);
	unwinder->state = NULL;
	return walk.whole;
}

int unwind_scan(struct unwinder *unwinder)
{
	return scan(unwinder);
}

void unwind_prepare(struct unwinder *unwinder)
{
	Dwarf_Addr bias;

	unwinder->is_plain = true;
	for (struct module *module = unwinder->modules; module; module = module->next) {
		module->has_malloc = symbols_named(module_symbols(module), "malloc");
		dwfl_module_eh_cfi(module->dwfl, &bias);
	}
}

static int find_function(struct module *module, const char *name,
			 struct unwind_code *code)
{
	const struct symbol *symbol =
		module ? symbols_named(module_symbols(module), name) : NULL;

	if (!symbol)
		return -ENOENT;
	*code = (struct unwind_code){symbol->start, symbol->end, module->name};
	return 0;
}

int unwind_function_of(struct unwinder *unwinder, const char *module, const char *name,
		       struct unwind_code *code)
{
	static const char in_memory[] = "memfd:";
	struct module *at = unwinder->modules;

	for (; at; at = at->next) {
		const char *file = at->name;

		if (strncmp(file, in_memory, strlen(in_memory)) == 0)
			file += strlen(in_memory);
		if (strncmp(file, module, strlen(module)) == 0)
			break;
	}
	return find_function(at, name, code);
}

int unwind_is_stale(const struct unwinder *unwinder)
{
	return modules_are_stale(unwinder);
}

int unwind_function(struct unwinder *unwinder, uint64_t addr, const char *name,
		    struct unwind_code *code)
{
	return find_function(modules_at(unwinder, addr), name, code);
}

int unwind_surroundings(struct unwinder *unwinder, uint64_t addr,
			const char *const *names, struct unwind_code *code)
{
	struct module *module = modules_at(unwinder, addr);
	const struct symbols *symbols;

	*code = (struct unwind_code){.start = UINT64_MAX};
	if (!module)
		return -ENOENT;
	symbols = module_symbols(module);
	for (; *names; names++) {
		const struct symbol *symbol = symbols_named(symbols, *names);

		if (symbol && symbol->start < code->start)
			code->start = symbol->start;
		if (symbol && symbol->end > code->end)
			code->end = symbol->end;
	}
	if (!code->end)
		return -ENOENT;
	symbols_gap(symbols, &code->start, &code->end);
	code->module = module->name;
	return 0;
}

/* ---- the session ---- */

static const struct machine *machine_of(Elf *elf)
{
	GElf_Ehdr header;

	if (!elf || gelf_getclass(elf) != ELFCLASS64 || !gelf_getehdr(elf, &header) ||
	    header.e_machine != this_machine.elf)
		return NULL;
	return &this_machine;
}

static int open_exe(struct unwinder *unwinder, struct fault *fault)
{
	const struct process *process = unwinder->process;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
	unwinder->exe_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (unwinder->exe_fd < 0)
		return fault_set(fault, EXIT_FAILED, -errno,
				 "cannot open the program of process %d (%s): %s",
				 process->pid, process->comm, strerror(errno));
	elf_version(EV_CURRENT);
	unwinder->exe = elf_begin(unwinder->exe_fd, ELF_C_READ_MMAP, NULL);
	unwinder->machine = machine_of(unwinder->exe);
	if (!unwinder->machine)
		return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
				 "cannot follow the stacks of process %d (%s): its "
				 "program is not one for 64-bit %s",
				 process->pid, process->comm, this_machine.name);
	return 0;
}

static int open_session(struct unwinder *unwinder, struct fault *fault)
{
	const struct process *process = unwinder->process;
	int error = 0;

	unwinder->dwfl = dwfl_begin(&session_callbacks);
	if (!unwinder->dwfl)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "cannot follow stacks: libdw: %s", dwfl_errmsg(-1));
	error = scan(unwinder);
	if (error < 0)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read the mappings of process %d (%s): %s",
				 process->pid, process->comm, strerror(-error));
	if (!dwfl_attach_state(unwinder->dwfl, unwinder->exe, process->pid,
			       &thread_callbacks, unwinder))
		return fault_set(fault, EXIT_FAILED, -EPROTO,
				 "cannot follow the stacks of process %d (%s): libdw: %s",
				 process->pid, process->comm, dwfl_errmsg(-1));
	return 0;
}

int unwind_new(struct unwinder **unwinder, const struct process *process,
	       struct fault *fault)
{
	struct unwinder *new = calloc(1, sizeof(*new));
	int error;

	*unwinder = NULL;
	if (!new)
		return fault_set(fault, EXIT_FAILED, -ENOMEM,
				 "no memory for an unwinder");
	new->process = process;
	new->exe_fd = -1;
	error = open_exe(new, fault);
	if (!error)
		error = open_session(new, fault);
	if (error) {
		unwind_free(new);
		return error;
	}
	*unwinder = new;
	return 0;
}

void unwind_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return;
	if (unwinder->dwfl)
		dwfl_end(unwinder->dwfl);
	modules_free(unwinder);
	names_forget(unwinder);
	strings_free(unwinder);
	elf_end(unwinder->exe);
	if (unwinder->exe_fd >= 0)
		close(unwinder->exe_fd);
	free(unwinder);
}
