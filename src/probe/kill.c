#include "probe/kill.h"

#include "base/alloc_touched.h"
#include "base/machine.h"
#include "bpf/kill.skel.h"
#include "probe/preflight.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct kills {
	struct kill_bpf *skeleton;
	struct ring_buffer *ring;
	kill_fn *fn; /* of the poll that runs */
	void *context;
};

static int on_record(void *context, void *data, size_t size)
{
	struct kills *kills = context;

	if (kills->fn && size == sizeof(struct kill_event))
		kills->fn(data, kills->context);
	return 0;
}

static int check(struct fault *fault)
{
	struct preflight found;
	struct utsname kernel;
	int error = preflight(&found, fault);

	if (error || found.victim_is_task)
		return error;
	uname(&kernel);
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "cannot watch for kills: kernel %s does not report who was "
			 "killed: Linux 6.8 or later is needed",
			 kernel.release);
}

/* Null, and errno. */
static struct kill_bpf *load(void)
{
	struct kill_bpf *skeleton = kill_bpf__open();
	int error;

	if (!skeleton)
		return NULL;
	*(uint32_t *)&skeleton->rodata->huge_pages = (uint32_t)machine_page_bytes() / 8;
	error = kill_bpf__load(skeleton);
	if (!error)
		return skeleton;
	kill_bpf__destroy(skeleton);
	errno = -error;
	return NULL;
}

int kills_open(struct kills **kills, struct fault *fault)
{
	struct kills *new;
	int error = check(fault);

	if (error)
		return error;
	new = alloc_touched(sizeof(*new));
	error = new ? 0 : -ENOMEM;
	if (new) {
		new->skeleton = load();
		error = new->skeleton ? kill_bpf__attach(new->skeleton) : -errno;
	}
	if (!error) {
		new->ring = ring_buffer__new(bpf_map__fd(new->skeleton->maps.ring),
					     on_record, new, NULL);
		error = new->ring ? 0 : -ENOMEM;
	}
	if (error) {
		kills_close(new);
		return fault_set(fault, EXIT_NO_SOURCE, error,
				 "cannot watch for kills: %s; --verbose shows what the "
				 "kernel said",
				 strerror(-error));
	}
	*kills = new;
	return 0;
}

void kills_close(struct kills *kills)
{
	if (!kills)
		return;
	ring_buffer__free(kills->ring);
	kill_bpf__destroy(kills->skeleton);
	free(kills);
}

int kills_poll(struct kills *kills, kill_fn *fn, void *context)
{
	int got;

	kills->fn = fn;
	kills->context = context;
	got = ring_buffer__consume(kills->ring);
	kills->fn = NULL;
	return got < 0 ? got : 0;
}

uint64_t kills_lost(const struct kills *kills)
{
	return kills->skeleton->bss->lost;
}
