#include "export/mhd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

/* The name of the interface that the header has. */
#define LIBRARY "libmicrohttpd.so.12"

static const struct {
	const char *name;
	size_t offset;
} functions[] = {
	{"MHD_add_response_header", offsetof(struct mhd, add_response_header)},
	{"MHD_create_response_from_buffer",
	 offsetof(struct mhd, create_response_from_buffer)},
	{"MHD_create_response_from_buffer_with_free_callback_cls",
	 offsetof(struct mhd, create_response_from_buffer_with_free_callback_cls)},
	{"MHD_destroy_response", offsetof(struct mhd, destroy_response)},
	{"MHD_lookup_connection_value", offsetof(struct mhd, lookup_connection_value)},
	{"MHD_queue_response", offsetof(struct mhd, queue_response)},
	{"MHD_quiesce_daemon", offsetof(struct mhd, quiesce_daemon)},
	{"MHD_start_daemon", offsetof(struct mhd, start_daemon)},
	{"MHD_stop_daemon", offsetof(struct mhd, stop_daemon)},
};

static int cannot(struct fault *fault)
{
	return fault_set(fault, EXIT_FAILED, -ENOENT,
			 "cannot load the HTTP server: %s; on Debian: apt-get install "
			 "libmicrohttpd12 (or libmicrohttpd12t64); --textfile needs none",
			 dlerror());
}

int mhd_load(struct mhd *mhd, struct fault *fault)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return cannot(fault);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = dlsym(library, functions[i].name);

		if (!function)
			return cannot(fault);
		*(void **)((char *)mhd + functions[i].offset) = function;
	}
	return 0;
}
