#include "engine/frontend.h"

#include "base/fault.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

void frontend_message(const struct frontend *frontend, const char *format, ...)
{
	char line[FAULT_TEXT + 128];
	va_list args;

	if (!frontend || !frontend->message)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	frontend->message(line);
}

const atomic_bool *frontend_stop_flag(const struct frontend *frontend)
{
	return frontend ? frontend->stop : NULL;
}

bool frontend_stops(const struct frontend *frontend)
{
	const atomic_bool *stop = frontend_stop_flag(frontend);

	return stop && atomic_load(stop);
}
