/* option_kinds.h: how a value of each kind of option is read into its field. */
#ifndef FRAGSCOPE_OPTION_KINDS_H
#define FRAGSCOPE_OPTION_KINDS_H

#include "options.h"

/* What parts the words of a list: blanks too, as pidof(1) prints them. */
#define SEPARATORS ", \t\n"

struct option_kind_info {
	/* Takes VALUE, null when the kind has none, into FIELD: 0, or -EINVAL or -ERANGE
	 * when it is not what the kind is called, or -ENOMEM. */
	int (*take)(const struct option_spec *spec, const char *value, void *field);
	bool bare;	  /* it has no value */
	const char *what; /* a wrong value is not this */
};

extern const struct option_kind_info option_kinds[];

#endif
