/* listen.h: the socket that scrapes come in by. */
#ifndef FRAGSCOPE_EXPORT_LISTEN_H
#define FRAGSCOPE_EXPORT_LISTEN_H

#include "base/fault.h"

#include <stdbool.h>

enum { LISTEN_TEXT = 160 };

/* WHERE is how people name it; IS_LOCAL: nobody reaches it from other hosts. */
struct listener {
	int fd;
	bool is_local;
	const char *path; /* of a socket that we made in the file system; else null */
	char where[LISTEN_TEXT];
};

/* Listens at ADDRESS: "HOST:PORT" with a numeric HOST, "[HOST]:PORT" of IPv6, ":PORT" for
 * all addresses, or "unix:PATH", where a socket that nobody listens at is replaced. 0, or
 * -errno and FAULT. ADDRESS stays the caller's. */
int listen_at(struct listener *listener, const char *address, struct fault *fault);

/* The socket that systemd started us with (LISTEN_FDS). 0; -ENOENT: there is none; or
 * another -errno and FAULT. */
int listen_by_systemd(struct listener *listener, struct fault *fault);

void listen_end(struct listener *listener);

#endif
