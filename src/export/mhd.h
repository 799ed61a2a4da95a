/* mhd.h: libmicrohttpd, loaded when it is needed: it brings a TLS library and megabytes
 * that no other verb has use for. */
#ifndef FRAGSCOPE_EXPORT_MHD_H
#define FRAGSCOPE_EXPORT_MHD_H

#include "base/fault.h"

#include <microhttpd.h>

/* Its functions, without their prefix. */
struct mhd {
	__typeof__(MHD_add_response_header) *add_response_header;
	__typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
	__typeof__(MHD_create_response_from_buffer_with_free_callback_cls)
		*create_response_from_buffer_with_free_callback_cls;
	__typeof__(MHD_destroy_response) *destroy_response;
	__typeof__(MHD_lookup_connection_value) *lookup_connection_value;
	__typeof__(MHD_queue_response) *queue_response;
	__typeof__(MHD_quiesce_daemon) *quiesce_daemon;
	__typeof__(MHD_start_daemon) *start_daemon;
	__typeof__(MHD_stop_daemon) *stop_daemon;
};

/* Fills MHD; the library stays loaded. 0, or -ENOENT with FAULT where it is missing or
 * lacks one of the functions. */
int mhd_load(struct mhd *mhd, struct fault *fault);

#endif
