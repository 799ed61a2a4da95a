/* driver.h: what a source is made of; for the files of this directory only. */
#ifndef FRAGSCOPE_DRIVER_H
#define FRAGSCOPE_DRIVER_H

#include "base/worker.h"
#include "probe/probe.h"
#include "source/source.h"
#include "target/process.h"

#include <pthread.h>

struct source {
	struct process process;
	struct source_options options;
	char allocator[SAMPLE_TEXT];
	char description[SOURCE_DESCRIPTION];
	const struct driver *driver;
	void *state;		  /* the driver's own */
	struct probe *probe;	  /* null unless events are counted */
	struct probe_counts seen; /* up to the last row */
	struct worker
		*worker;    /* makes every call about the process; a recording has none */
	atomic_ulong beats; /* of the worker's call */
	struct source_call *asked;
	bool is_unread; /* the last reading could not read the heap */
	/* The process has executed another program, whose heap is not read yet. */
	bool is_apart;
	int64_t attach_due_ns; /* when it is tried next */
	struct fault why_apart;
	pthread_mutex_t lock; /* DRIVER and STATE change, or are asked about a read */
};

/* One kind of source. OPEN finds SOURCE's process open; READ finds SAMPLE empty but for
 * time, PID, name and source. Both return 0 or -errno with FAULT; READ may return
 * SOURCE_NOTHING_NEW. CLOSE also follows an OPEN that failed. */
struct driver {
	int (*open)(struct source *source, struct fault *fault);
	int (*read)(struct source *source, struct sample *sample, struct fault *fault);
	void (*close)(struct source *source);
	unsigned (*arenas)(const struct source *source);
	/* Null: the description that OPEN wrote. */
	const char *(*describe)(const struct source *source);
	/* Null: this source cannot tell. */
	int (*map)(struct source *source, struct heap_map *map, struct fault *fault);
	int (*map_more)(struct source *source, struct heap_map *map, struct fault *fault);
	int (*blockers)(struct source *source, struct blockers *blockers,
			struct fault *fault);
	int (*closer)(struct source *source, struct blockers *blockers,
		      struct heap_map *map, struct fault *fault);
	int (*owners)(struct source *source, struct owners *owners,
		      uint64_t chunk[OWNERS_MAX], const struct owners_options *options,
		      owners_progress_fn *progress, void *context, struct fault *fault);
	int (*shares)(struct source *source, struct pin_shares *shares,
		      uint64_t memory_bytes, struct fault *fault);
	int (*pieces)(struct source *source, const struct heap_piece_visitor *visitor,
		      bool *is_whole, struct fault *fault);
	/* Where a read of memory goes on now; null, or false: nowhere. Any thread asks.
	 */
	bool (*reads)(const struct source *source, uint64_t *from, uint64_t *to);
	/* BYTES at ADDR, resident ones only: 0, -ENODATA, -EFAULT or another -errno. */
	int (*peek)(struct source *source, uint64_t addr, void *to, uint32_t bytes);
};

/* What source_identify says, by the worker. */
int identify_chunk(struct source *source, uint64_t chunk, char identity[CHUNK_IDENTITY]);

extern const struct driver heap_driver;
extern const struct driver recording_driver;
extern const struct driver preload_driver;
extern const struct driver proc_driver;

#endif
