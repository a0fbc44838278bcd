// SPDX-License-Identifier: Apache-2.0
#include "support/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

rlim_t limit_descriptors(rlim_t limit)
{
	struct rlimit files;
	rlim_t before;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
	before = files.rlim_cur;
	files.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	return before;
}
