#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *fault, enum exit_status status, int error, const char *format,
	      ...)
{
	va_list args;

	if (!fault)
		return error;
	fault->status = status;
	va_start(args, format);
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	return error;
}
