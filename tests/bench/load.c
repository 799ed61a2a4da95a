/* load.c: keeps a memcached on a socket in the file system busy: `load SOCKET` fills it,
 * says "ready", and for every line with a number of milliseconds works for so long and
 * says how many requests a second were answered. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENTS = 4,
	KEYS = 20000,
	LARGEST = 4000, /* bytes of a value */
	BATCH = 32,	/* requests under way on one connection */
	SET_EVERY = 10, /* requests; the others get */
	REQUEST = LARGEST + 100,
	MS_NS = 1000000,
};

/* One connection. REPLY holds what was read and not yet taken. */
struct client {
	int fd;
	unsigned seed;
	size_t held, taken;
	uint64_t answered;
	int64_t end_ns;
	char request[BATCH * REQUEST];
	char reply[64 << 10];
};

static char value[LARGEST];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		fail(path);
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail(path);
	return fd;
}

static void send_all(const struct client *client, size_t length)
{
	for (size_t sent = 0; sent < length;) {
		ssize_t more = write(client->fd, client->request + sent, length - sent);

		if (more <= 0)
			fail("write");
		sent += (size_t)more;
	}
}

static void read_more(struct client *client)
{
	ssize_t more;

	memmove(client->reply, client->reply + client->taken,
		client->held - client->taken);
	client->held -= client->taken;
	client->taken = 0;
	more = read(client->fd, client->reply + client->held,
		    sizeof(client->reply) - client->held);
	if (more <= 0)
		fail("read");
	client->held += (size_t)more;
}

/* The next line, without its end; valid until more is read. */
static const char *next_line(struct client *client)
{
	for (;;) {
		char *start = client->reply + client->taken;
		char *end = memchr(start, '\n', client->held - client->taken);

		if (end) {
			*end = '\0';
			client->taken = (size_t)(end + 1 - client->reply);
			return start;
		}
		read_more(client);
	}
}

static void skip(struct client *client, size_t bytes)
{
	while (client->held - client->taken < bytes)
		read_more(client);
	client->taken += bytes;
}

/* One answer: "STORED", "END", or a value and "END". */
static void take_answer(struct client *client)
{
	size_t bytes;

	while (sscanf(next_line(client), "VALUE %*s %*u %zu", &bytes) == 1)
		skip(client, bytes + strlen("\r\n"));
	client->answered++;
}

static size_t put_set(char *to, unsigned key, size_t bytes)
{
	size_t length = (size_t)sprintf(to, "set k%u 0 0 %zu\r\n", key, bytes);

	memcpy(to + length, value, bytes);
	length += bytes;
	to[length++] = '\r';
	to[length++] = '\n';
	return length;
}

static size_t put_request(struct client *client, char *to)
{
	unsigned key = (unsigned)rand_r(&client->seed) % KEYS;

	if (rand_r(&client->seed) % SET_EVERY)
		return (size_t)sprintf(to, "get k%u\r\n", key);
	return put_set(to, key, (size_t)rand_r(&client->seed) % LARGEST);
}

static void run_batch(struct client *client)
{
	size_t length = 0;

	for (unsigned i = 0; i < BATCH; i++)
		length += put_request(client, client->request + length);
	send_all(client, length);
	for (unsigned i = 0; i < BATCH; i++)
		take_answer(client);
}

static void fill(struct client *client)
{
	for (unsigned key = 0; key < KEYS; key++) {
		send_all(client, put_set(client->request, key, key * 37U % LARGEST));
		take_answer(client);
	}
}

static void *work(void *argument)
{
	struct client *client = argument;

	while (now_ns() < client->end_ns)
		run_batch(client);
	return NULL;
}

/* Requests a second. */
static double run_for(struct client *clients, int64_t ms)
{
	pthread_t thread[CLIENTS];
	int64_t begin_ns = now_ns();
	uint64_t answered = 0;

	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].answered = 0;
		clients[i].end_ns = begin_ns + ms * MS_NS;
		if (pthread_create(&thread[i], NULL, work, &clients[i]))
			fail("pthread_create");
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(thread[i], NULL);
		answered += clients[i].answered;
	}
	return (double)answered * 1e9 / (double)(now_ns() - begin_ns);
}

int main(int argc, char **argv)
{
	static struct client clients[CLIENTS];
	char line[32];

	if (argc != 2)
		return 2;
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].fd = connect_to(argv[1]);
		clients[i].seed = i + 1;
	}
	fill(clients);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		printf("%.0f\n", run_for(clients, strtoll(line, NULL, 10)));
		fflush(stdout);
	}
	return 0;
}
