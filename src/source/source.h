/* source.h: the one small interface behind which every source of samples stands. What a
 * target can keep from being read is read by a thread of the source: each of the calls
 * here returns, whatever the target does. */
#ifndef FRAGSCOPE_SOURCE_H
#define FRAGSCOPE_SOURCE_H

#include "base/fault.h"
#include "sample/blockers.h"
#include "sample/heap_map.h"
#include "sample/owners.h"
#include "sample/sample.h"
#include "sample/shares.h"
#include "sample/surroundings.h"
#include "target/smaps.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How residency is learned: RESIDENCY_AUTO takes the PAGEMAP_SCAN ioctl where the kernel
 * has it (6.7 and later) and /proc/PID/pagemap elsewhere; source_describe says which. */
enum residency {
	RESIDENCY_AUTO,
	RESIDENCY_SCAN,
	RESIDENCY_PAGEMAP,
};

struct source_options {
	const char *recording; /* a file, "-": standard input; null: the process */
	enum sample_source source;
	enum residency residency;
	bool arenas;	 /* tell what belongs to which arena */
	bool bins;	 /* split the bins as malloc_info does */
	bool sizes;	 /* tell the free chunks of each size; BINS does so as well */
	bool quick;	 /* no walk: bin heads, unsorted list and tops only */
	bool events;	 /* count growths and failures by eBPF probes */
	bool or_preload; /* a heap that cannot be read is told by a sampler in it */
	bool follow;	 /* of SOURCE_PRELOAD: every sample once, in order */
	bool survey;	 /* take room for source_map and source_blockers */
	bool go_on;	 /* a heap that cannot be read for now gives partial rows */
	bool over_exec;	 /* so does a program that the process executes, until it is read
			  */
	bool swap_in;	 /* read malloc's records though it swaps them in */
	unsigned map_cells, map_chunks; /* the most that source_map is asked for */
	unsigned threads;		/* readers; 0: as source_readers() chooses */
	int64_t pause_ns;	     /* stop the target for at most this long; 0: never */
	uint64_t unusable_for_bytes; /* 0: DEFAULT_UNUSABLE_FOR_BYTES */
	int64_t budget_ns; /* processor time for a reading; 0: whatever it takes */
	int64_t whole_ns;  /* the heap is read whole up to this; 0: up to the budget */
	const atomic_bool *hurry; /* null, or set when no more time is to be lost */
};

/* How many threads pay for a whole reading of a process with RSS_BYTES, on a host with so
 * many PROCESSORS and that LOAD: those that are idle, and 4 at most; 1 for what is read
 * within a blink. */
unsigned source_readers(uint64_t rss_bytes, unsigned processors, double load);

enum { DEFAULT_UNUSABLE_FOR_BYTES = 64 << 10 };

struct source;
struct heap_piece_visitor; /* of glibc/pieces.h */

enum {
	SOURCE_READ = 0,
	SOURCE_ENDED = 1, /* the target is gone; the fault's text says how */
	/* With FOLLOW: there is no further sample yet. With HURRY: there was no time. */
	SOURCE_NOTHING_NEW = 2,
	/* A call of the kernel about the target has not returned for seconds: userfaultfd
	 * and FUSE let a program keep who reads its memory waiting for ever. The target
	 * is asked nothing more until that call has returned. */
	SOURCE_UNREADABLE = 3,
};

/* Attaches to PID and takes all the memory that readings will need. 0 and *SOURCE, or
 * -errno and FAULT. Changes nothing in the target. Of a recording PID is whose samples
 * are wanted, 0: of all its processes; no other of OPTIONS matters, and memory is taken
 * as samples need it. */
int source_open(struct source **source, int pid, const struct source_options *options,
		struct fault *fault);

/* One reading into SAMPLE, which source_sample made; of a recording the next sample,
 * whose PID says of which process. SOURCE_READ, SOURCE_NOTHING_NEW; SOURCE_UNREADABLE
 * with FAULT, and a SAMPLE without figures that says so too; SOURCE_ENDED or -errno with
 * FAULT. With GO_ON a heap that cannot be read for now (its records are swapped out,
 * damaged for an instant, or of more arenas than there is room for) is SOURCE_READ too:
 * SAMPLE is partial, says why and has the kernel's figures. With OVER_EXEC a heap of a
 * process that executes another program is: the row says which one, and later rows are
 * of that one as soon as it can be read; if never, each says why. Allocates nothing,
 * except then, and when the target has got more arenas than there was room for: the
 * reading after that takes more. What is wrong in a recording is -errno, after all
 * samples before it; -EINTR, which may be tried again: a signal came while a pipe was
 * waited for. */
int source_read(struct source *source, struct sample *sample, struct fault *fault);

/* Where the process runs and with what settings, as far as that can be had without a page
 * of it being brought in. SOURCE_READ, or SOURCE_UNREADABLE with FAULT. Forks a child. */
int source_surroundings(struct source *source, struct surroundings *surroundings,
			struct fault *fault);

/* Changes what a reading may cost of SOURCE, which was opened with a budget: 0, whatever
 * it takes to read the heap whole. */
void source_set_budget(struct source *source, int64_t budget_ns);

/* What lies where in the arena and range that MAP names: one look, beside the readings
 * and never during one, without a pause. SOURCE_READ, SOURCE_ENDED, or -errno with FAULT:
 * -ENOTSUP when SOURCE cannot tell (only SOURCE_HEAP can, with the option survey and
 * without quick), -ENOENT when there is no such arena; or SOURCE_UNREADABLE with FAULT.
 * Allocates nothing. */
int source_map(struct source *source, struct heap_map *map, struct fault *fault);

/* The same by what the last source_read or source_map found, if nothing else was asked of
 * SOURCE since: of many arenas for the price of one. -EAGAIN: that was not read whole. */
int source_map_more(struct source *source, struct heap_map *map, struct fault *fault);

/* What pins free memory in the arenas that BLOCKERS names; otherwise as source_map. */
int source_blockers(struct source *source, struct blockers *blockers,
		    struct fault *fault);

/* Both of them in one pass, by what the last source_read found, and once after it; of
 * all arenas, and of all of MAP's. -EAGAIN: that was not read whole. */
int source_look_closer(struct source *source, struct blockers *blockers,
		       struct heap_map *map, struct fault *fault);

/* Who holds the chunks that OPTIONS asks for; otherwise as source_map, but that it
 * allocates its tables for the time of the call. A target that readings pause is paused,
 * for as long as that allows. */
int source_owners(struct source *source, struct owners *owners,
		  const struct owners_options *options, owners_progress_fn *progress,
		  void *context, struct fault *fault);

/* The share that blocks have in what pins free memory; tables of MEMORY_BYTES at most are
 * allocated for the time of the call. After SOURCE_UNREADABLE SHARES and what it points
 * to are SOURCE's, and stay. Otherwise as source_map. */
int source_shares(struct source *source, struct pin_shares *shares, uint64_t memory_bytes,
		  struct fault *fault);

/* Tells VISITOR of everything that lies in the heap, in order of address within a
 * segment; it is called by SOURCE's thread while the caller waits, and no more once this
 * was given up. *IS_WHOLE: nothing is missing. Otherwise as source_map. */
int source_pieces(struct source *source, const struct heap_piece_visitor *visitor,
		  bool *is_whole, struct fault *fault);

/* What the CHUNK of a blocker (its header's address) may be, in words, by its first bytes
 * and the files that are mapped: into IDENTITY, empty when there is no telling. Allocates
 * for the time of the call. 0, -ENOTSUP as source_map, SOURCE_UNREADABLE or -errno. */
int source_identify(struct source *source, uint64_t chunk, char identity[CHUNK_IDENTITY]);

/* Whose the target's memory is by its mappings (smaps.h), of any source. SOURCE_READ,
 * SOURCE_UNREADABLE or -errno. */
int source_smaps(struct source *source, struct smaps *smaps);

/* What SOURCE's thread has taken of a processor. */
int64_t source_cpu_ns(const struct source *source);

/* A sample with room for what SOURCE can find; the caller frees it. Null: no memory. */
struct sample *source_sample(const struct source *source);

/* A descriptor that polls as readable once the process has exited; -1 of a recording.
 * Owned by SOURCE. */
int source_exit_fd(const struct source *source);

enum { SOURCE_DESCRIPTION = 256 }; /* of a process, with its final 0 */

/* One line for the header: the target, its allocator, the source and the rule that chose
 * how it reads. Owned by SOURCE. */
const char *source_describe(const struct source *source);

/* The name of the target's process, as the kernel has it. Owned by SOURCE. */
const char *source_comm(const struct source *source);

void source_close(struct source *source);

#endif
