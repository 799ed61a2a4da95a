#include "export/listen.h"

#include "base/units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A storm of scrapes waits here, not in our memory. */
enum { BACKLOG = 1024, SYSTEMD_FD = 3, PORT_MOST = 65535, HOST_BYTES = 64 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

static int cannot(const char *where, int error, struct fault *fault)
{
	const char *cure = error == -EADDRINUSE ? ": something else listens there; see "
						  "'ss -ltnp', or give another --listen"
			   : error == -EACCES	? ": ports below 1024 and other users' "
						  "directories take rights"
						: "";

	return fault_set(fault, error == -EACCES ? EXIT_NOT_PERMITTED : EXIT_FAILED,
			 error, "cannot listen at %s: %s%s", where, strerror(-error),
			 cure);
}

/* ---- addresses of the network ---- */

static int no_address(const char *text, struct fault *fault)
{
	return fault_set(fault, EXIT_USAGE, -EINVAL,
			 "--listen: '%s' is neither HOST:PORT with a numeric HOST, as "
			 "127.0.0.1:9877 or [::1]:9877, nor unix:PATH",
			 text);
}

/* The length of ADDRESS, or 0. */
static socklen_t parse_host(const char *host, uint16_t port, union address *address)
{
	if (!*host)
		host = "::";
	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		address->v4.sin_port = htons(port);
		return sizeof(address->v4);
	}
	if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(port);
		return sizeof(address->v6);
	}
	return 0;
}

static socklen_t parse_address(const char *text, union address *address)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char host[HOST_BYTES];
	uint64_t port;

	*address = (union address){0};
	if (!colon || units_parse_count(colon + 1, &port) || port > PORT_MOST)
		return 0;
	if (length >= 2 && *text == '[' && colon[-1] == ']') {
		text++;
		length -= 2;
	} else if (memchr(text, ':', length)) {
		return 0;
	}
	if (length >= sizeof(host))
		return 0;
	memcpy(host, text, length);
	host[length] = '\0';
	return parse_host(host, (uint16_t)port, address);
}

static bool is_local(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
	return address->any.sa_family == AF_UNIX;
}

/* What FD listens at, as the kernel has it: port 0 is a port by then. */
static void name_socket(struct listener *listener)
{
	union address at = {0};
	socklen_t length = sizeof(at);
	char host[INET6_ADDRSTRLEN] = "";

	getsockname(listener->fd, &at.any, &length);
	listener->is_local = is_local(&at);
	if (at.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof(host));
		snprintf(listener->where, sizeof(listener->where), "http://%s:%u/metrics",
			 host, ntohs(at.v4.sin_port));
	} else if (at.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof(host));
		snprintf(listener->where, sizeof(listener->where),
			 "http://[%s]:%u/metrics", host, ntohs(at.v6.sin6_port));
	} else {
		snprintf(listener->where, sizeof(listener->where), "unix:%s",
			 at.un.sun_path);
	}
}

static int listen_network(struct listener *listener, const char *text,
			  struct fault *fault)
{
	union address address;
	socklen_t length = parse_address(text, &address);
	int on = 1;

	if (!length)
		return no_address(text, fault);
	listener->fd = socket(address.any.sa_family,
			      SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return cannot(text, -errno, fault);
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener->fd, &address.any, length) || listen(listener->fd, BACKLOG))
		return cannot(text, -errno, fault);
	return 0;
}

/* ---- sockets in the file system ---- */

/* One that nobody listens at is in the way of its successor. */
static void remove_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat status;

	if (fd < 0)
		return;
	if (!stat(address->sun_path, &status) && S_ISSOCK(status.st_mode) &&
	    connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

/* For the user and the group: who may scrape is who may connect. */
static int listen_unix(struct listener *listener, const char *path, struct fault *fault)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int error;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return fault_set(fault, EXIT_USAGE, -ENAMETOOLONG,
				 "--listen unix:PATH: a path of 1 to %zu bytes",
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return cannot(path, -errno, fault);
	remove_stale(&address);
	mask = umask(0117);
	error = bind(listener->fd, (const struct sockaddr *)&address, sizeof(address))
			? -errno
			: 0;
	umask(mask);
	if (error || listen(listener->fd, BACKLOG))
		return cannot(path, error ? error : -errno, fault);
	listener->path = path;
	return 0;
}

int listen_at(struct listener *listener, const char *address, struct fault *fault)
{
	static const char is_unix[] = "unix:";
	int error;

	*listener = (struct listener){.fd = -1};
	if (!strncmp(address, is_unix, sizeof(is_unix) - 1))
		error = listen_unix(listener, address + sizeof(is_unix) - 1, fault);
	else
		error = listen_network(listener, address, fault);
	if (error)
		listen_end(listener);
	else
		name_socket(listener);
	return error;
}

int listen_by_systemd(struct listener *listener, struct fault *fault)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int listens = 0;
	socklen_t length = sizeof(listens);

	*listener = (struct listener){.fd = -1};
	if (!pid || !fds || strtol(pid, NULL, 10) != getpid())
		return -ENOENT;
	if (strcmp(fds, "1") != 0 ||
	    getsockopt(SYSTEMD_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) ||
	    !listens)
		return fault_set(fault, EXIT_USAGE, -EINVAL,
				 "LISTEN_FDS: one stream socket that listens is needed");
	listener->fd = SYSTEMD_FD;
	fcntl(SYSTEMD_FD, F_SETFD, FD_CLOEXEC);
	fcntl(SYSTEMD_FD, F_SETFL, fcntl(SYSTEMD_FD, F_GETFL) | O_NONBLOCK);
	name_socket(listener);
	return 0;
}

void listen_end(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->path)
		unlink(listener->path);
	listener->fd = -1;
	listener->path = NULL;
}
