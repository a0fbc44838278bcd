// SPDX-License-Identifier: Apache-2.0
#include "support/plan_look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/address.h"

uint32_t plan_sources_of(const struct plan *plan, const char *text)
{
	const struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	struct prefix wanted;
	size_t i;

	assert_int_equal(prefix_parse(text, &wanted), 0);
	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		if (prefix_equal(&bypass[i].prefix, &wanted))
			return bypass[i].value.sources;
	return 0;
}
