#include "base/output.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static int wait_writable(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	return poll(&ready, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

int output_write(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t written = write(fd, bytes, length);
		int error = 0;

		if (written > 0) {
			bytes += written;
			length -= (size_t)written;
		} else if (!written) {
			error = -EIO;
		} else if (errno == EAGAIN) {
			error = wait_writable(fd);
		} else if (errno != EINTR) {
			error = -errno;
		}
		if (error)
			return error;
	}
	return 0;
}
