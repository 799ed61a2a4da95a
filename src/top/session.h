/* session.h: what `top` is connected to: processes that are attached to, or a recording;
 * and what came from these. */
#ifndef FRAGSCOPE_TOP_SESSION_H
#define FRAGSCOPE_TOP_SESSION_H

#include "base/fault.h"
#include "top/top.h"

/* Opens what the options ask for: a recording, or processes; without either, the list to
 * choose one from. 0, or -errno and FAULT. */
int session_open(struct top *top, struct fault *fault);

/* Ends the threads and frees what they use. False: a reading is under way and is not
 * waited for; what TOP has must stay. */
bool session_close(struct top *top);

/* Adds the live process PID, where all places are taken in that of one that has ended.
 * Its index, or -errno and FAULT. */
int session_attach(struct top *top, int pid, struct fault *fault);

/* Shows the list of processes. 0, or -errno and FAULT. */
int session_pick(struct top *top, struct fault *fault);
void session_pick_no_more(struct top *top);

/* Attaches to what has started since, if that is asked for. */
void session_follow(struct top *top);

/* Takes what the threads, or the recording, have. */
void session_take(struct top *top);

/* Takes the next reading of the process that is shown from a recording, whether its time
 * has come or not. False: there is none. */
bool session_step(struct top *top);

/* The recording, if it is one, stands still or goes on. */
void session_hold(struct top *top, bool hold);

/* Takes what the child that `owners` runs in has written; when it is done, that is said
 * in a box. */
void session_take_holders(struct top *top);

/* Has the feed look at what is shown. */
void session_inspect(struct top *top);

/* How long until something is due from a recording; -1: nothing is. */
int64_t session_wait_ns(const struct top *top);

#endif
