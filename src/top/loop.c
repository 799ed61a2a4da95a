#include "top/loop.h"

#include "base/clock.h"
#include "top/draw.h"
#include "top/input.h"
#include "top/session.h"
#include "top/write.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define TICK_NS INT64_C(1000000000)

enum {
	INPUTS_AT_ONCE = 64,
	EXITS = 5, /* of the descriptors that are waited for, the first target's */
};

static void measure_own_cpu(struct top *top)
{
	int64_t used_ns, excused_ns;

	if (!top->feed)
		return;
	used_ns = feed_used_ns(top->feed, &excused_ns);
	own_cpu_mark(&top->cpu, clock_monotonic_ns(), used_ns, excused_ns);
	top->dirty = true;
}

/* ---- drawing ---- */

/* How long the screen, which has changed, is left as it was; 0: it is drawn now. */
static int64_t drawing_wait_ns(struct top *top)
{
	struct account *account = &top->drawing;

	if (!top->feed || top->pressed)
		return 0;
	account_gain(account, account->share, clock_monotonic_ns());
	return account_wait_ns(account, 0);
}

/* What a key asked for is drawn at once, and not paid for here: what came by itself would
 * have to wait for it. */
static void draw(struct top *top)
{
	int64_t cpu_ns = clock_thread_ns();

	top_draw(top);
	if (!top->pressed)
		account_pay(&top->drawing, clock_thread_ns() - cpu_ns);
	top->pressed = false;
	if (!top->write_asked)
		return;
	top->write_asked = false;
	top_write(top);
	top_draw(top);
}

static void fit(struct top *top)
{
	unsigned rows, columns;

	term_size(top->term, &rows, &columns);
	canvas_resize(top->canvas, rows, columns);
	top->dirty = top->pressed = true;
}

/* ---- waiting ---- */

static int64_t wait_ns(struct top *top, int64_t tick_ns)
{
	int64_t wait = tick_ns - clock_monotonic_ns();
	int64_t session = session_wait_ns(top);

	if (top->dirty && drawing_wait_ns(top) < wait)
		wait = drawing_wait_ns(top);
	if (session >= 0 && session < wait)
		wait = session;
	return wait > 0 ? wait : 0;
}

/* Until something is pressed, comes or is due. False: the terminal is gone. */
static bool wait_for_work(struct top *top, int64_t tick_ns, const sigset_t *mask)
{
	int64_t ns = wait_ns(top, tick_ns);
	const struct timespec timeout = {ns / 1000000000, ns % 1000000000};
	/* What is not there is passed over: its descriptor is negative. */
	struct pollfd fds[EXITS + TARGETS_MAX] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = top->feed ? feed_fd(top->feed) : -1, .events = POLLIN},
		{.fd = top->events ? events_fd(top->events) : -1, .events = POLLIN},
		{.fd = top->picking.on ? picker_fd(top->picker) : -1, .events = POLLIN},
		{.fd = top->holders.fd, .events = POLLIN},
	};
	unsigned exits = top->feed ? top->targets.count : 0;

	for (unsigned i = 0; i < exits; i++)
		fds[EXITS + i] = (struct pollfd){.fd = feed_exit_fd(top->feed, (int)i),
						 .events = POLLIN};
	if (ppoll(fds, EXITS + exits, &timeout, mask) < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < exits; i++)
		if (fds[EXITS + i].revents)
			feed_wake(top->feed, (int)i);
	if (fds[EXITS - 1].revents)
		session_take_holders(top);
	return !(fds[0].revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* ---- the loop ---- */

static void obey(struct top *top, struct top_signals *signals)
{
	if (signals->stop)
		top->quit = true;
	if (signals->suspend) {
		signals->suspend = 0;
		term_suspend(top->term);
		signals->refresh = 1;
	}
	if (signals->refresh) {
		signals->refresh = 0;
		term_refresh(top->term);
		fit(top);
	}
}

/* What was pressed, not all of it at once: a paste shall not keep the screen waiting. */
static void take_input(struct top *top)
{
	for (unsigned i = 0; i < INPUTS_AT_ONCE && !top->quit; i++) {
		struct term_input input;

		term_read(top->term, &input);
		if (input.kind == TERM_NOTHING)
			return;
		top->pressed = true;
		if (input.kind == TERM_RESIZED)
			fit(top);
		else
			top_input(top, &input);
	}
}

/* The signals are blocked only between the last look at what they left and the wait, so
 * that none is slept over. */
void top_loop(struct top *top, struct top_signals *signals, const sigset_t *mask)
{
	int64_t tick_ns = clock_monotonic_ns();
	sigset_t blocked;

	fit(top);
	for (;;) {
		pthread_sigmask(SIG_SETMASK, mask, &blocked);
		take_input(top);
		session_take(top);
		session_inspect(top);
		if (clock_monotonic_ns() >= tick_ns) {
			measure_own_cpu(top);
			session_follow(top);
			tick_ns = clock_monotonic_ns() + TICK_NS;
		}
		if (top->dirty && !top->quit && !drawing_wait_ns(top))
			draw(top);
		pthread_sigmask(SIG_SETMASK, &blocked, NULL);
		obey(top, signals);
		if (top->quit || !wait_for_work(top, tick_ns, mask))
			return;
	}
}
