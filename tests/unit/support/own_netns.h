/* SPDX-License-Identifier: Apache-2.0 */
/* Moves a test that runs as root into a network namespace of its own. */
#ifndef SIDESTEP_TESTS_OWN_NETNS_H
#define SIDESTEP_TESTS_OWN_NETNS_H

/* Makes a namespace that has nothing but lo, which is up: a set-up of cmocka_run_group_tests(). */
int enter_own_netns(void **state);

#endif
