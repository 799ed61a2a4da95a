#include "export/http.h"

#include "base/alloc_touched.h"
#include "export/mhd.h"
#include "export/page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The rest waits in the kernel's queue. A connection that is silent ends. */
enum { CONNECTIONS = 64, CONNECTION_BYTES = 16384, SILENT_S = 10 };

static const char landing[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<title>fragscope export</title></head>\n<body><h1>fragscope export</h1>\n"
	"<p>Where the memory of this host's processes is, for Prometheus: "
	"<a href=\"metrics\">metrics</a>, <a href=\"-/healthy\">healthy</a>.</p>\n"
	"<p>fragscope " PACKAGE_VERSION "; see fragscope-export(1).</p></body></html>\n";

enum fixed {
	FIXED_LANDING,
	FIXED_HEALTHY,
	FIXED_NOT_FOUND,
	FIXED_METHOD,
	FIXED_BUSY,
	FIXED_COUNT,
};

static const struct {
	const char *body, *type;
} fixed[FIXED_COUNT] = {
	[FIXED_LANDING] = {landing, "text/html; charset=utf-8"},
	[FIXED_HEALTHY] = {"fragscope export is healthy\n", "text/plain"},
	[FIXED_NOT_FOUND] = {"There is /metrics and /-/healthy\n", "text/plain"},
	[FIXED_METHOD] = {"GET or HEAD\n", "text/plain"},
	[FIXED_BUSY] = {"No memory for an answer\n", "text/plain"},
};

struct http {
	struct mhd mhd;
	struct MHD_Daemon *daemon;
	struct exposition *exposition;
	struct metric_pages *pages;
	struct MHD_Response *fixed[FIXED_COUNT];
	atomic_ulong *scrapes;
};

static struct MHD_Response *new_fixed(const struct mhd *mhd, enum fixed which)
{
	struct MHD_Response *response = mhd->create_response_from_buffer(
		strlen(fixed[which].body), (void *)fixed[which].body,
		MHD_RESPMEM_PERSISTENT);

	if (response)
		mhd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					 fixed[which].type);
	if (response && which == FIXED_METHOD)
		mhd->add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	return response;
}

static enum MHD_Result answer_metrics(struct http *http,
				      struct MHD_Connection *connection)
{
	const char *accept = http->mhd.lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	const char *encoding = http->mhd.lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	struct MHD_Response *response;

	atomic_fetch_add(http->scrapes, 1);
	response = metric_pages_response(http->pages, http_format(accept),
					 http_takes_gzip(encoding));
	if (!response)
		return http->mhd.queue_response(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
						http->fixed[FIXED_BUSY]);
	return http->mhd.queue_response(connection, MHD_HTTP_OK, response);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection,
			      const char *url, const char *method, const char *version,
			      const char *upload, size_t *upload_size, void **request)
{
	struct http *http = context;

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)request;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return http->mhd.queue_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
						http->fixed[FIXED_METHOD]);
	if (!strcmp(url, "/metrics"))
		return answer_metrics(http, connection);
	if (!strcmp(url, "/"))
		return http->mhd.queue_response(connection, MHD_HTTP_OK,
						http->fixed[FIXED_LANDING]);
	if (!strcmp(url, "/-/healthy"))
		return http->mhd.queue_response(connection, MHD_HTTP_OK,
						http->fixed[FIXED_HEALTHY]);
	return http->mhd.queue_response(connection, MHD_HTTP_NOT_FOUND,
					http->fixed[FIXED_NOT_FOUND]);
}

static int start(struct http *http, int fd)
{
	for (unsigned i = 0; i < FIXED_COUNT; i++) {
		http->fixed[i] = new_fixed(&http->mhd, i);
		if (!http->fixed[i])
			return -ENOMEM;
	}
	http->daemon = http->mhd.start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL, answer,
		http, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)SILENT_S, MHD_OPTION_END);
	return http->daemon ? 0 : -EIO;
}

int http_begin(struct http **http, int fd, const struct exposition_options *options,
	       atomic_ulong *scrapes, struct fault *fault)
{
	struct http *new = alloc_touched(sizeof(*new));
	int error = new ? mhd_load(&new->mhd, fault) : -ENOMEM;

	if (error == -ENOENT) {
		http_end(new);
		return error;
	}
	if (!error)
		error = exposition_new(&new->exposition, options);
	if (!error)
		error = metric_pages_new(&new->pages, &new->mhd, new->exposition,
					 exposition_bytes(options));
	if (!error) {
		new->scrapes = scrapes;
		error = start(new, fd);
	}
	if (!error) {
		*http = new;
		return 0;
	}
	http_end(new);
	return fault_set(fault, EXIT_FAILED, error,
			 error == -ENOMEM ? "out of memory"
					  : "cannot start the HTTP server of "
					    "libmicrohttpd: are there file descriptors "
					    "left (ulimit -n)?");
}

/* The socket is the caller's, who closes it. */
void http_end(struct http *http)
{
	if (!http)
		return;
	if (http->daemon) {
		http->mhd.quiesce_daemon(http->daemon);
		http->mhd.stop_daemon(http->daemon);
	}
	metric_pages_free(http->pages);
	exposition_free(http->exposition);
	for (unsigned i = 0; i < FIXED_COUNT; i++)
		if (http->fixed[i])
			http->mhd.destroy_response(http->fixed[i]);
	free(http);
}
