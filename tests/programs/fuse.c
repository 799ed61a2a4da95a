/* fuse.c: a file system of one file, "program", by FUSE's own protocol, which stops
 * answering when it is told to.
 *
 *   fuse FOLDER FILE
 *
 * mounts it on FOLDER; the file is a copy of FILE. It says "ready". A line "hold" has no
 * open answered any more, "hold reads" no read, any other none held; each is said back
 * when it holds, and "held" for each request that is not answered. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PROGRAM = 2, FOREVER_S = 1000, REQUEST_MAX = 1 << 20, READ_MAX = 1 << 17 };

/* Some systems' headers are older. */
enum { MINOR = 31 };

static unsigned char *data;
static uint64_t data_bytes;
static uint32_t held; /* the kind of request that is not answered */

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(77);
}

static void say(const char *words)
{
	if (puts(words) < 0 || fflush(stdout))
		exit(1);
}

static void load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat about;

	if (fd < 0 || fstat(fd, &about))
		fail(path);
	data_bytes = (uint64_t)about.st_size;
	data = malloc(data_bytes + 1);
	for (uint64_t done = 0; done < data_bytes;) {
		ssize_t got = read(fd, data + done, data_bytes - done);

		if (got <= 0)
			fail(path);
		done += (uint64_t)got;
	}
	close(fd);
}

static int mounted(const char *folder)
{
	int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[100];

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
	if (device < 0 ||
	    mount("fragscope-test", folder, "fuse", MS_NOSUID | MS_NODEV, options))
		fail("cannot mount a FUSE file system");
	return device;
}

static void reply(int device, uint64_t unique, int error, const void *body, size_t bytes)
{
	static unsigned char whole[sizeof(struct fuse_out_header) + READ_MAX];
	struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + bytes),
				       .error = -error,
				       .unique = unique};

	memcpy(whole, &head, sizeof(head));
	if (bytes)
		memcpy(whole + sizeof(head), body, bytes);
	/* It fails for who has not waited. */
	if (write(device, whole, head.len) < 0 && errno != ENOENT)
		fail("/dev/fuse");
}

static struct fuse_attr attributes(uint64_t node)
{
	uint64_t bytes = node == PROGRAM ? data_bytes : 0;

	return (struct fuse_attr){.ino = node,
				  .size = bytes,
				  .blocks = bytes / 512 + 1,
				  .mode = node == PROGRAM ? S_IFREG | 0755
							  : S_IFDIR | 0755,
				  .nlink = 1,
				  .blksize = 4096};
}

static void answer_init(int device, uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
				    .minor = MINOR,
				    .max_readahead = in->max_readahead,
				    .max_background = 16,
				    .congestion_threshold = 12,
				    .max_write = READ_MAX,
				    .time_gran = 1};

	reply(device, unique, 0, &out, sizeof(out));
}

static void answer_lookup(int device, uint64_t unique, const char *name)
{
	struct fuse_entry_out out = {.nodeid = PROGRAM,
				     .entry_valid = FOREVER_S,
				     .attr_valid = FOREVER_S,
				     .attr = attributes(PROGRAM)};
	int error = strcmp(name, "program") != 0 ? ENOENT : 0;

	reply(device, unique, error, &out, error ? 0 : sizeof(out));
}

static void answer_attributes(int device, uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = {.attr_valid = FOREVER_S, .attr = attributes(node)};

	reply(device, unique, 0, &out, sizeof(out));
}

static void answer_read(int device, uint64_t unique, const struct fuse_read_in *in)
{
	uint64_t from = in->offset < data_bytes ? in->offset : data_bytes;
	uint64_t left = data_bytes - from,
		 most = in->size < READ_MAX ? in->size : READ_MAX;

	reply(device, unique, 0, data + from, left < most ? left : most);
}

static void answer(int device, const struct fuse_in_header *head)
{
	const struct fuse_open_out opened = {.fh = 0};
	const void *body = head + 1;

	if (held == head->opcode) {
		say("held");
		return;
	}
	switch (head->opcode) {
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	case FUSE_INIT:
		return answer_init(device, head->unique, body);
	case FUSE_LOOKUP:
		return answer_lookup(device, head->unique, body);
	case FUSE_GETATTR:
		return answer_attributes(device, head->unique, head->nodeid);
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		return reply(device, head->unique, 0, &opened, sizeof(opened));
	case FUSE_READ:
		return answer_read(device, head->unique, body);
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		return reply(device, head->unique, 0, NULL, 0);
	default:
		reply(device, head->unique, ENOSYS, NULL, 0);
	}
}

/* False at the end of the input. */
static int listen_to(char *line, size_t size)
{
	if (!fgets(line, (int)size, stdin))
		return 0;
	line[strcspn(line, "\n")] = '\0';
	held = !strcmp(line, "hold")	     ? FUSE_OPEN
	       : !strcmp(line, "hold reads") ? FUSE_READ
					     : 0;
	say(line);
	return 1;
}

int main(int argc, char **argv)
{
	char *request = malloc(REQUEST_MAX), line[64];
	struct pollfd from[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};

	if (argc != 3 || !request)
		return 64;
	setvbuf(stdin, NULL, _IONBF, 0);
	load(argv[2]);
	from[1].fd = mounted(argv[1]);
	say("ready");
	while (poll(from, 2, -1) > 0) {
		if (from[0].revents && !listen_to(line, sizeof(line)))
			break;
		if (from[1].revents) {
			ssize_t got = read(from[1].fd, request, REQUEST_MAX);

			if (got >= (ssize_t)sizeof(struct fuse_in_header))
				answer(from[1].fd, (void *)request);
			else if (got < 0 && errno != EINTR && errno != EAGAIN &&
				 errno != ENOENT)
				fail("/dev/fuse");
		}
	}
	return 0;
}
