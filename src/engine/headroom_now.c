#include "engine/headroom_now.h"

#include "base/privilege.h"
#include "target/bounds.h"

#include <stddef.h>

const struct headroom *headroom_now(int pid, const struct rules *rules,
				    const struct figures *fig, struct headroom *headroom)
{
	struct privilege before;
	struct bounds bounds;

	if (!rules_need_limit(rules))
		return NULL;
	before = privilege_raise();
	bounds_read(pid, &bounds);
	privilege_restore(before);
	headroom_of(&bounds, fig, headroom);
	return headroom;
}
