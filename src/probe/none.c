/* A build without eBPF: what needs the probes says so, and how to get them. */
#include "probe/burst.h"
#include "probe/kill.h"
#include "probe/preflight.h"
#include "probe/probe.h"
#include "probe/survivors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static int not_built(struct fault *fault)
{
	return fault_set(fault, EXIT_NO_SOURCE, -ENOTSUP,
			 "this fragscope was built without eBPF probes (--disable-bpf); "
			 "build it again without that option: ./bootstrap brings what it "
			 "needs");
}

const char *preflight_library(void)
{
	return "none";
}

const char *preflight_probes(void)
{
	return "none (built with --disable-bpf)";
}

int preflight(struct preflight *found, struct fault *fault)
{
	memset(found, 0, sizeof(*found));
	return not_built(fault);
}

void preflight_verbose(bool verbose)
{
	(void)verbose;
}

int probe_open(struct probe **probe, const struct process *process,
	       const struct probe_options *options, struct fault *fault)
{
	(void)probe;
	(void)process;
	(void)options;
	return not_built(fault);
}

int kills_open(struct kills **kills, struct fault *fault)
{
	(void)kills;
	return not_built(fault);
}

int burst_open(struct burst **burst, const struct process *process,
	       const struct burst_options *options, struct fault *fault)
{
	(void)burst;
	(void)process;
	(void)options;
	return not_built(fault);
}

bool survivors_watches_free(const struct survivors *survivors)
{
	(void)survivors;
	return false;
}

int survivors_open(struct survivors **survivors, const struct process *process,
		   const struct survivors_options *options, struct fault *fault)
{
	(void)survivors;
	(void)process;
	(void)options;
	return not_built(fault);
}

/* None of the following is reached: nothing could be opened. */

void survivors_close(struct survivors *survivors)
{
	(void)survivors;
}

const char *survivors_describe(const struct survivors *survivors)
{
	(void)survivors;
	return "";
}

int64_t survivors_period_ns(const struct survivors *survivors)
{
	(void)survivors;
	return 0;
}

int survivors_burst(struct survivors *survivors, unsigned samples,
		    const struct survivors_listener *listener,
		    struct survivors_watch *watch, struct fault *fault)
{
	(void)survivors;
	(void)samples;
	(void)listener;
	(void)watch;
	return not_built(fault);
}

int64_t survivors_due_ns(const struct survivors *survivors)
{
	(void)survivors;
	return INT64_MAX;
}

void survivors_forget(struct survivors *survivors, uint64_t chunk)
{
	(void)survivors;
	(void)chunk;
}

double survivors_dilation(const struct survivors *survivors)
{
	(void)survivors;
	return 1;
}

void probe_close(struct probe *probe)
{
	(void)probe;
}

int probe_poll(struct probe *probe, probe_fn *fn, void *context)
{
	(void)probe;
	(void)fn;
	(void)context;
	return -ENOTSUP;
}

int probe_total(struct probe *probe, struct probe_counts *total)
{
	(void)probe;
	memset(total, 0, sizeof(*total));
	return -ENOTSUP;
}

enum probe_stop probe_stopped(struct probe *probe)
{
	(void)probe;
	return PROBE_RUNS;
}

void probe_detach(struct probe *probe)
{
	(void)probe;
}

bool probe_knows_callers(const struct probe *probe)
{
	(void)probe;
	return false;
}

void kills_close(struct kills *kills)
{
	(void)kills;
}

int kills_poll(struct kills *kills, kill_fn *fn, void *context)
{
	(void)kills;
	(void)fn;
	(void)context;
	return -ENOTSUP;
}

uint64_t kills_lost(const struct kills *kills)
{
	(void)kills;
	return 0;
}

void burst_close(struct burst *burst)
{
	(void)burst;
}

const struct burst_price *burst_price(const struct burst *burst)
{
	(void)burst;
	return NULL;
}

double burst_slowdown(const struct burst *burst, double calls_per_second)
{
	(void)burst;
	(void)calls_per_second;
	return 0;
}

const char *burst_describe(const struct burst *burst)
{
	(void)burst;
	return "";
}

int64_t burst_due_ns(const struct burst *burst)
{
	(void)burst;
	return INT64_MAX;
}

int burst_tick(struct burst *burst, int64_t now_ns, struct fault *fault)
{
	(void)burst;
	(void)now_ns;
	return not_built(fault);
}

int burst_total(struct burst *burst, struct bursts *total)
{
	(void)burst;
	memset(total, 0, sizeof(*total));
	return -ENOTSUP;
}
