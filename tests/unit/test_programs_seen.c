// SPDX-License-Identifier: Apache-2.0
/* Finding the attached programs while a link takes the place of a filter. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "programs/programs_attach.h"
#include "programs/programs_private.h"
#include "programs/programs_seen.h"
#include "support/own_netns.h"
#include "support/programs_run.h"

#define LOOPBACK_IFINDEX 1
#define QUERIES		 3000

struct swapper {
	struct programs *programs;
	struct programs_attachment attachment;
	atomic_uint begun; /* changes: odd ones make a link of a filter, even ones a filter */
	atomic_bool stop;
	int error;
};

/* A filter or a link is there at each time. */
static void *swap(void *context)
{
	struct swapper *swapper = context;

	while (swapper->error == 0 && !atomic_load(&swapper->stop)) {
		swapper->error = programs_attach_filter(swapper->programs, PROGRAM_LO_EGRESS,
							LOOPBACK_IFINDEX, &swapper->attachment);
		(void)atomic_fetch_add(&swapper->begun, 1);
		programs_attach_settle(swapper->programs, &swapper->attachment);
		(void)atomic_fetch_add(&swapper->begun, 1);
		if (swapper->error == 0)
			swapper->error = programs_attach_leave(swapper->programs,
							       &swapper->attachment);
	}
	return NULL;
}

/* A query that is held up meets several changes and may find nothing. It finds the program if only
 * a link was made, also if a filter was made just before. */
static bool counts(unsigned int before, unsigned int after)
{
	return after == before || (before % 2 == 0 && after == before + 1);
}

static int count_found(void)
{
	struct programs_seen seen[PROGRAMS_SEEN_MAX];
	int found = programs_seen_tc(LOOPBACK_IFINDEX, true, seen), i;

	for (i = 0; i < found; i++)
		programs_seen_close(&seen[i]);
	return found;
}

static void test_a_program_is_found_while_it_changes_its_place(void **state)
{
	struct programs_config config = {.kind = PROGRAMS_SIDECAR, .netns = run_netns()};
	struct swapper swapper = {.error = 0};
	int missed = 0, i;
	pthread_t thread;

	(void)state;
	assert_int_equal(programs_load(&config, false, &swapper.programs), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, &swapper), 0);
	while (atomic_load(&swapper.begun) == 0)
		(void)sched_yield();
	for (i = 0; i < QUERIES; i++) {
		unsigned int begun = atomic_load(&swapper.begun);
		bool found = count_found() > 0;

		missed += !found && counts(begun, atomic_load(&swapper.begun));
	}
	atomic_store(&swapper.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(swapper.error, 0);
	assert_int_equal(missed, 0);
	programs_attach_remove_filter(PROGRAM_LO_EGRESS, LOOPBACK_IFINDEX);
	programs_free(swapper.programs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_program_is_found_while_it_changes_its_place),
	};

	return cmocka_run_group_tests(tests, enter_own_netns, NULL);
}
