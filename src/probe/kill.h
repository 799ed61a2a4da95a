/* kill.h: processes that the kernel kills for memory, anywhere on the host. */
#ifndef FRAGSCOPE_KILL_H
#define FRAGSCOPE_KILL_H

#include "bpf/probe.h"

#include "base/fault.h"

struct kills;

typedef void kill_fn(const struct kill_event *event, void *context);

/* Attaches to the kernel's mark_victim. 0, or -errno and FAULT. */
int kills_open(struct kills **kills, struct fault *fault);
void kills_close(struct kills *kills);

/* Hands every kill that has come since to FN. 0 or -errno. */
int kills_poll(struct kills *kills, kill_fn *fn, void *context);

/* Kills that found no room. */
uint64_t kills_lost(const struct kills *kills);

#endif
