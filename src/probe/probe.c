#include "probe/probe.h"

#include "base/alloc_touched.h"
#include "base/machine.h"
#include "bpf/growth.skel.h"
#include "glibc/attach.h"
#include "probe/preflight.h"
#include "target/live.h"
#include "target/maps.h"
#include "unwind/unwind.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	PAGE_BLOCKS = 8,
	RING_EVENTS = 32, /* full events that wait between two polls, at least */
	RING_MIN_BYTES = 4096,
	FLOOD_PER_SECOND = 5000,
	INITIAL_PID_NS = -4, /* PROC_PID_INIT_INO is 0xEFFFFFFC */
};

#define NS_PER_S UINT64_C(1000000000)

struct probe {
	struct growth_bpf *skeleton;
	struct ring_buffer *ring;
	struct probe_counts *per_cpu;
	int cpus;
	int map_fd;
	bool attached;
	uint32_t stack_bytes;
	probe_fn *fn; /* of the poll that runs */
	void *context;
};

/* ---- what to probe ---- */

/* The code of the file that is mapped at ADDR: that malloc's data is of. */
struct text_search {
	uint64_t addr;
	uint64_t inode;
	uint64_t file_start; /* where the file's first mapping begins */
	uint64_t run_start;
	uint64_t run_inode;
	uint64_t start, end;
};

static int find_file(const struct mapping *mapping, void *context)
{
	struct text_search *search = context;

	if (mapping->inode && mapping->inode != search->run_inode) {
		search->run_inode = mapping->inode;
		search->run_start = mapping->start;
	}
	if (search->addr < mapping->start || search->addr >= mapping->end)
		return 0;
	search->inode = mapping->inode ? mapping->inode : search->run_inode;
	search->file_start = search->run_start;
	return 1;
}

static int find_text(const struct mapping *mapping, void *context)
{
	struct text_search *search = context;

	if (mapping->inode != search->inode || !(mapping->flags & MAP_EXEC) ||
	    mapping->start < search->file_start)
		return 0;
	search->start = mapping->start;
	search->end = mapping->end;
	return 1;
}

/* Whether malloc is linked into the program itself: then its callers are in one file with
 * it. */
static bool is_static(const struct process *process, const struct text_search *search)
{
	struct stat program;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
	return stat(path, &program) == 0 && program.st_ino == search->inode;
}

static int set_text(struct probe_config *config, const struct process *process,
		    struct fault *fault)
{
	const struct {
		const char *name;
		int *offset;
	} calls[] = {
		{"mmap", &config->mmap_return},
		{"mremap", &config->mremap_return},
		{"mprotect", &config->mprotect_return},
	};
	struct text_search search = {.addr = config->main_arena};
	struct unwinder *unwinder;
	int error = maps_scan(process, find_file, &search);

	if (error >= 0)
		error = maps_scan(process, find_text, &search);
	if (error < 0 || !search.end)
		return fault_set(fault, EXIT_FAILED, error < 0 ? error : -ENOENT,
				 "cannot find the code of process %d's malloc in "
				 "/proc/%d/maps: %s",
				 process->pid, process->pid,
				 strerror(error < 0 ? -error : ENOENT));
	config->text_start = search.start;
	config->text_end = search.end;
	error = unwind_new(&unwinder, process, fault);
	if (error)
		return error;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (is_static(process, &search) ||
		    unwind_return_offset(unwinder, search.start, calls[i].name,
					 calls[i].offset))
			*calls[i].offset = PROBE_ANY_CALLER;
	unwind_free(unwinder);
	return 0;
}

/* When it is swapped out, it is as malloc has it unless it is told otherwise; only the
 * thresholds are not known until one moves. */
static int read_par(const struct process *process, const struct malloc_instance *instance,
		    struct malloc_par *par, struct fault *fault)
{
	struct live_memory live;
	struct pages *pages;
	int error;

	live_init(&live, process, live_can_scan(process) ? PAGEMAP_IOCTL : PAGEMAP_FILE);
	pages = pages_new(&live.memory, PAGE_BLOCKS);
	error = pages ? arena_read_par(&live.memory, pages, instance, par) : -ENOMEM;
	pages_free(pages);
	if (!error || error == -ENODATA)
		return 0;
	return fault_set(fault, EXIT_FAILED, error,
			 "cannot read malloc's parameters in process %d (%s): %s",
			 process->pid, process->comm,
			 error == -EFAULT ? "malloc was not used yet" : strerror(-error));
}

static void set_malloc(struct probe_config *config,
		       const struct malloc_instance *instance,
		       const struct malloc_par *par)
{
	const struct malloc_layout *layout = instance->layout;

	config->main_arena = instance->main_arena;
	config->par = instance->par;
	config->heap_max_bytes = arena_heap_max_bytes(layout, par);
	config->page_bytes = (uint32_t)machine_page_bytes();
	config->brk_granule =
		par->thp_page_bytes ? par->thp_page_bytes : config->page_bytes;
	config->huge_granule =
		par->huge_page_bytes ? par->huge_page_bytes : config->page_bytes;
	config->par_n_mmaps = layout->par.n_mmaps;
	config->arena_top = layout->arena.top;
	config->arena_bins = layout->arena.bins;
	config->arena_system_mem = layout->arena.system_mem;
}

/* The innermost number of the line NSpid: what the process's own namespace calls it. */
static int namespace_pid(int pid, uint32_t *inner)
{
	char text[8192], *line, *end;
	ssize_t length = process_text(pid, "status", text, sizeof(text));

	if (length < 0)
		return (int)length;
	line = strstr(text, "\nNSpid:");
	if (!line)
		return -ENOTSUP;
	line += strlen("\nNSpid:");
	do {
		*inner = (uint32_t)strtoul(line, &end, 10);
		line = end;
	} while (*line == '\t');
	return 0;
}

/* In the initial namespace the kernel's own numbers are ours; the process's namespace has
 * to be asked only from within another. */
static int set_pid(struct probe_config *config, const struct process *process,
		   struct fault *fault)
{
	struct stat own = {0}, other = {0};
	char path[64];
	int error = 0;

	config->pid = (uint32_t)process->pid;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", process->pid);
	if (stat("/proc/self/ns/pid", &own) || stat(path, &other))
		error = -errno;
	else if ((uint32_t)own.st_ino == (uint32_t)INITIAL_PID_NS)
		return 0;
	if (!error)
		error = namespace_pid(process->pid, &config->pid);
	if (error)
		return fault_set(fault, EXIT_FAILED, error,
				 "cannot read process %d's PID namespace: %s",
				 process->pid, strerror(-error));
	config->ns_dev = other.st_dev;
	config->ns_inode = other.st_ino;
	return 0;
}

static int set_target(struct probe_config *config, const struct process *process,
		      uint64_t thresholds[2], struct fault *fault)
{
	struct attached attached;
	struct malloc_par par = {0};
	int error = attach(process, &attached, fault);

	if (!error)
		error = read_par(process, &attached.instance[0], &par, fault);
	if (error)
		return error;
	thresholds[0] = par.trim_threshold_bytes;
	thresholds[1] = par.mmap_threshold_bytes;
	set_malloc(config, &attached.instance[0], &par);
	error = set_text(config, process, fault);
	return error ? error : set_pid(config, process, fault);
}

static void set_options(struct probe_config *config, const struct probe_options *options)
{
	uint64_t rate = options->events_per_second ? options->events_per_second : 1;

	config->kinds = options->kinds;
	config->stack_bytes = options->stack_bytes;
	config->interval_ns = NS_PER_S / rate;
	config->burst_ns = NS_PER_S;
	config->flood = FLOOD_PER_SECOND;
}

/* ---- opening ---- */

static uint32_t ring_bytes(const struct probe_options *options)
{
	uint64_t waiting = 2 * options->events_per_second + RING_EVENTS;
	uint64_t wanted = waiting * (sizeof(struct probe_event) + options->stack_bytes);
	uint32_t bytes = RING_MIN_BYTES;

	if (!options->kinds)
		return bytes;
	while (bytes < wanted && bytes < 1U << 30)
		bytes *= 2;
	return bytes;
}

static int on_record(void *context, void *data, size_t size)
{
	struct probe *probe = context;
	const struct probe_event *event = data;

	if (probe->fn && size == sizeof(*event) + probe->stack_bytes)
		probe->fn(event, (const uint8_t *)(event + 1), probe->context);
	return 0;
}

static int cannot_load(int error, struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, error,
			 "cannot load eBPF probes: %s; --verbose shows what the kernel "
			 "said",
			 strerror(-error));
}

static int load(struct probe *probe, const struct probe_config *config,
		const struct probe_options *options, struct fault *fault)
{
	struct growth_bpf *skeleton = growth_bpf__open();
	int error;

	if (!skeleton)
		return cannot_load(-errno, fault);
	probe->skeleton = skeleton;
	memcpy((void *)&skeleton->rodata->config, config, sizeof(*config));
	bpf_map__set_max_entries(skeleton->maps.ring, ring_bytes(options));
	error = growth_bpf__load(skeleton);
	if (error)
		return cannot_load(error, fault);
	probe->map_fd = bpf_map__fd(skeleton->maps.counts);
	probe->ring = ring_buffer__new(bpf_map__fd(skeleton->maps.ring), on_record, probe,
				       NULL);
	probe->cpus = libbpf_num_possible_cpus();
	probe->per_cpu = probe->cpus > 0
				 ? alloc_touched(probe->cpus * sizeof(*probe->per_cpu))
				 : NULL;
	if (!probe->ring || !probe->per_cpu)
		return cannot_load(-ENOMEM, fault);
	return 0;
}

int probe_open(struct probe **probe, const struct process *process,
	       const struct probe_options *options, struct fault *fault)
{
	struct probe_config config = {0};
	struct probe *new;
	struct preflight found;
	uint64_t thresholds[2];
	int error = preflight(&found, fault);

	if (!error)
		error = set_target(&config, process, thresholds, fault);
	if (error)
		return error;
	config.has_path = found.lock_has_path;
	set_options(&config, options);
	new = alloc_touched(sizeof(*new));
	if (!new)
		return cannot_load(-ENOMEM, fault);
	new->stack_bytes = options->stack_bytes;
	error = load(new, &config, options, fault);
	if (!error) {
		new->skeleton->bss->known_trim_threshold = thresholds[0];
		new->skeleton->bss->known_mmap_threshold = thresholds[1];
		error = growth_bpf__attach(new->skeleton);
		if (error)
			cannot_load(error, fault);
	}
	if (error) {
		probe_close(new);
		return error;
	}
	new->attached = true;
	*probe = new;
	return 0;
}

void probe_close(struct probe *probe)
{
	if (!probe)
		return;
	ring_buffer__free(probe->ring);
	growth_bpf__destroy(probe->skeleton);
	free(probe->per_cpu);
	free(probe);
}

/* ---- what came ---- */

int probe_poll(struct probe *probe, probe_fn *fn, void *context)
{
	int got;

	probe->fn = fn;
	probe->context = context;
	got = ring_buffer__consume(probe->ring);
	probe->fn = NULL;
	return got < 0 ? got : 0;
}

static void add_counts(struct probe_counts *total, const struct probe_counts *one)
{
	for (unsigned i = 0; i < PROBE_KINDS; i++) {
		total->events[i] += one->events[i];
		total->bytes[i] += one->bytes[i];
	}
	total->sent += one->sent;
	total->limited += one->limited;
	total->lost += one->lost;
	total->missed += one->missed;
}

/* From Linux 7.0 a program at a tracepoint can be preempted, and is not run for others on
 * that CPU until it goes on (kernel/trace/bpf_trace.c, __bpf_trace_run). */
static uint64_t skipped(const struct probe *probe)
{
	const int fds[] = {bpf_program__fd(probe->skeleton->progs.mmap_lock_acquired),
			   bpf_program__fd(probe->skeleton->progs.mmap_lock_released)};
	uint64_t sum = 0;

	for (unsigned i = 0; i < sizeof(fds) / sizeof(*fds); i++) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);

		if (!bpf_obj_get_info_by_fd(fds[i], &info, &size))
			sum += info.recursion_misses;
	}
	return sum;
}

int probe_total(struct probe *probe, struct probe_counts *total)
{
	uint32_t key = 0;

	memset(total, 0, sizeof(*total));
	if (bpf_map_lookup_elem(probe->map_fd, &key, probe->per_cpu))
		return -errno;
	for (int i = 0; i < probe->cpus; i++)
		add_counts(total, &probe->per_cpu[i]);
	total->skipped = skipped(probe);
	return 0;
}

void probe_detach(struct probe *probe)
{
	if (probe->attached)
		growth_bpf__detach(probe->skeleton);
	probe->attached = false;
}

enum probe_stop probe_stopped(struct probe *probe)
{
	enum probe_stop stop = probe->skeleton->bss->stopped;

	if (stop != PROBE_RUNS)
		probe_detach(probe);
	return stop;
}

bool probe_knows_callers(const struct probe *probe)
{
	return probe->skeleton->rodata->config.mmap_return != PROBE_ANY_CALLER;
}
