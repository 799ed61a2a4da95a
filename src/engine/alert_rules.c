/* alert_rules.c: the rules that were asked for, from the command line and from files. */
#include "base/file.h"
#include "engine/alert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 65536 };

int alert_rules_add_file(struct rules *rules, const char *file, struct fault *fault)
{
	char *text = malloc(FILE_BYTES);
	size_t length = 0;
	int error = text ? file_bytes(file, text, FILE_BYTES, &length) : -ENOMEM;

	if (error)
		fault_set(fault, EXIT_FAILED, error, "cannot read rules from %s: %s",
			  file, strerror(-error));
	else if (length == FILE_BYTES - 1)
		error = fault_set(fault, EXIT_USAGE, -EFBIG,
				  "%s is too large: rules take less than %d bytes", file,
				  FILE_BYTES);
	else
		error = rules_add_file(rules, file, text, length, fault);
	free(text);
	return error;
}

int alert_rules(const struct alert_request *request, int64_t interval_ns,
		struct rules *rules, struct fault *fault)
{
	int error = 0;

	rules->count = 0;
	for (size_t i = 0; !error && i < request->rules.count; i++)
		error = rules_add(rules, request->rules.name[i], fault);
	for (size_t i = 0; !error && i < request->files.count; i++)
		error = alert_rules_add_file(rules, request->files.name[i], fault);
	if (error)
		return error;
	if (!rules->count)
		rules_add_defaults(rules, interval_ns);
	return request->replay ? 0 : rules_fit(rules, interval_ns, fault);
}
