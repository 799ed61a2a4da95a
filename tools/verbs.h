/* verbs.h: the verbs; fragscope.c's table lists them, a file each defines them. */
#ifndef FRAGSCOPE_VERBS_H
#define FRAGSCOPE_VERBS_H

#include "options.h"

extern const struct command command_alert;
extern const struct command command_attach;
extern const struct command command_detach;
extern const struct command command_diff;
extern const struct command command_export;
extern const struct command command_owners;
extern const struct command command_record;
extern const struct command command_report;
extern const struct command command_run;
extern const struct command command_stat;
extern const struct command command_top;
extern const struct command command_trace;
extern const struct command command_trim;

#endif
