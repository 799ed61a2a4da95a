#include "preload/budget.h"

enum { PPM = 1000000 };

void budget_begin(struct budget *budget, const struct settings *settings)
{
	*budget = (struct budget){
		.settings = *settings,
		.totals.last_ns = -1,
		.detail.last_ns = -1,
	};
}

static void pay(struct price *price, int64_t cost_ns)
{
	price->ns = price->last_ns >= 0 && price->last_ns < cost_ns ? price->last_ns
								    : cost_ns;
	price->last_ns = cost_ns;
}

static int64_t longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* How long half of the share takes to add up to PRICE. */
static int64_t spread(const struct budget *budget, const struct price *price)
{
	return price->ns * 2 * PPM / (int64_t)budget->settings.max_cost_ppm;
}

bool budget_allows_detail(const struct budget *budget, int64_t now_ns)
{
	return now_ns >= budget->detail_due_ns;
}

int64_t budget_spend(struct budget *budget, int64_t now_ns, int64_t totals_ns,
		     bool with_detail, int64_t detail_ns)
{
	pay(&budget->totals, totals_ns);
	if (with_detail) {
		pay(&budget->detail, detail_ns);
		budget->detail_due_ns = now_ns + longer(budget->settings.detail_ns,
							spread(budget, &budget->detail));
	}
	return longer(budget->settings.interval_ns, spread(budget, &budget->totals));
}
