#include "analysis/diff_parts.h"

static const double hour_s = 3600;

/* The N values, of what was counted since the row before, become what that is an hour. */
static void make_rates(double *value, const double *time_s, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		double passed_s = compare_step_s(time_s, n, i);

		value[i] = passed_s > 0 ? value[i] * hour_s / passed_s : 0;
	}
}

void diff_compare_counts(struct diff_work *work, struct comparison *comparison)
{
	struct compare_course both[2];

	for (unsigned i = 0; i < 2; i++) {
		size_t n = work->count[i];

		make_rates(work->value[i], work->time_s[i], n);
		both[i] = n > 1 ? (struct compare_course){work->time_s[i] + 1,
							  work->value[i] + 1, n - 1}
				: (struct compare_course){.count = 0};
	}
	compare_courses(both, COMPARE_MEAN, &work->compare, comparison);
}
