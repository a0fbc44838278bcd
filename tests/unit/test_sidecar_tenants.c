// SPDX-License-Identifier: Apache-2.0
/* Tests which container of a network namespace a flow is said to come from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "sidecar/sidecar_tenants.h"

#define HEX(digit) /* an id */                                                                     \
	digit digit digit digit digit digit digit digit digit digit digit digit digit digit digit  \
		digit
#define ID(digit) HEX(digit) HEX(digit) HEX(digit) HEX(digit)

#define SECOND 1000000000ULL
#define OWN    100

static const struct docker_tenant sidecar = {.id = ID("a"), .name = "net", .has_engine = true};
static const struct docker_tenant app = {.id = ID("b"), .name = "app", .owner = ID("a")};
static const struct docker_tenant other = {.id = ID("c"), .name = "other", .owner = ID("b")};
static const struct docker_tenant stranger = {.id = ID("d"), .name = "far", .owner = ID("e")};

static int setup(void **state)
{
	static struct sidecar_tenants tenants;

	tenants = (struct sidecar_tenants) {.owner = ID("a"), .own_cgroup = OWN};
	(void)pthread_mutex_init(&tenants.lock, NULL);
	*state = &tenants;
	return 0;
}

static int teardown(void **state)
{
	sidecar_tenants_release(*state);
	return 0;
}

/* Returns the name of the container that opened a flow at @time, or NULL. */
static const char *opener(struct sidecar_tenants *tenants, uint64_t cgroup, uint64_t time)
{
	static struct sidecar_container found;

	return sidecar_tenants_find(tenants, cgroup, time, &found) ? found.name : NULL;
}

static void test_parse_owner(void **state)
{
	static const char docker[] =
		"2101 1990 0:171 / / rw,relatime - overlay overlay rw,upperdir=/x/" ID(
			"f") "/diff\n"
			     "2110 2101 8:1 /var/lib/docker/containers/" ID(
				     "b") "/resolv.conf /etc/resolv.conf rw - ext4 x rw\n";
	static const char podman[] = "9 1 0:44 /containers/overlay-containers/" ID(
		"c") "/userdata/hosts /etc/hosts rw - tmpfs x rw\n";
	static const char none[] = "1 2 0:3 / / rw - ext4 x rw\n"
				   "3 4 8:1 /home/resolv.conf /etc/resolv.conf rw - ext4 x rw\n"
				   "5 6 8:1 /volumes/" ID("b") "/x /data rw - ext4 x rw\n";
	char id[65] = "";

	(void)state;
	assert_true(sidecar_tenants_parse_owner(docker, id));
	assert_string_equal(id, ID("b"));
	assert_true(sidecar_tenants_parse_owner(podman, id));
	assert_string_equal(id, ID("c"));
	assert_false(sidecar_tenants_parse_owner(none, id));
	assert_false(sidecar_tenants_parse_owner(NULL, id));
}

static void test_only_other(void **state)
{
	const struct docker_tenant list[] = {stranger, app, sidecar};
	struct sidecar_tenants *tenants = *state;

	assert_null(opener(tenants, 7, SECOND));
	sidecar_tenants_update(tenants, list, ARRAY_SIZE(list), SECOND);
	assert_string_equal(opener(tenants, 7, 2 * SECOND), "app");
	assert_string_equal(opener(tenants, OWN, 2 * SECOND), "net");
	/* The kernel does not know, or all groups are one. */
	assert_null(opener(tenants, 0, 2 * SECOND));
	assert_null(opener(tenants, 1, 2 * SECOND));
	tenants->own_cgroup = 0;
	assert_null(opener(tenants, 7, 2 * SECOND));
}

/* A container may join by way of another. A name that is learned stays. */
static void test_several(void **state)
{
	const struct docker_tenant list[] = {other, app, sidecar};
	struct sidecar_tenants *tenants = *state;

	sidecar_tenants_update(tenants, list + 1, 2, SECOND);
	assert_string_equal(opener(tenants, 7, 2 * SECOND), "app");
	sidecar_tenants_update(tenants, list, 3, 3 * SECOND);
	assert_null(opener(tenants, 8, 4 * SECOND));
	assert_string_equal(opener(tenants, 7, 4 * SECOND), "app");
	/* It began while there was one. */
	assert_string_equal(opener(tenants, 9, 2 * SECOND), "app");
	assert_null(opener(tenants, 8, 4 * SECOND));
}

/* An event comes after its container has gone, and another has come. */
static void test_gone(void **state)
{
	struct docker_tenant list[] = {app, sidecar};
	struct sidecar_tenants *tenants = *state;

	sidecar_tenants_update(tenants, list, 2, SECOND);
	sidecar_tenants_update(tenants, list + 1, 1, 3 * SECOND);
	assert_string_equal(opener(tenants, 7, 2 * SECOND), "app");
	assert_null(opener(tenants, 8, 3 * SECOND));
	list[0] = other;
	list[0].owner = ID("a");
	sidecar_tenants_update(tenants, list, 2, 4 * SECOND);
	assert_string_equal(opener(tenants, 8, 5 * SECOND), "other");
	assert_string_equal(opener(tenants, 7, 5 * SECOND), "app");
	/* The list may be late, by a moment. */
	assert_string_equal(opener(tenants, 9, 4 * SECOND - 1), "other");
	assert_null(opener(tenants, 10, 3 * SECOND));
}

/* The sidecar does not know which container is its own. */
static void test_no_self(void **state)
{
	struct docker_tenant list[] = {app, sidecar};
	struct sidecar_tenants *tenants = *state;

	list[0].has_engine = true;
	sidecar_tenants_update(tenants, list, 2, SECOND);
	assert_null(opener(tenants, 7, 2 * SECOND));
	assert_null(opener(tenants, OWN, 2 * SECOND));
	list[0].has_engine = false;
	list[1].has_engine = false;
	sidecar_tenants_update(tenants, list, 2, 3 * SECOND);
	assert_null(opener(tenants, 7, 4 * SECOND));
}

/* The places are bounded: one that has left makes room. */
static void test_many(void **state)
{
	struct sidecar_tenants *tenants = *state;
	struct docker_tenant list[] = {app, sidecar};
	char id[65] = ID("0"), name[64];
	size_t i;

	list[0].id = id;
	list[0].name = name;
	for (i = 1; i < 4 * SIDECAR_TENANTS_MAX; i++) {
		(void)snprintf(id, sizeof(id), "%064zx", i);
		(void)snprintf(name, sizeof(name), "app%zu", i);
		sidecar_tenants_update(tenants, list, 2, i * SECOND);
		assert_string_equal(opener(tenants, 1000 + i, i * SECOND + 1), name);
	}
	assert_string_equal(opener(tenants, 1000 + i - 2, i * SECOND), "app254");
	/* Its place is another's. */
	assert_null(opener(tenants, 1001, SECOND + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_owner),
		cmocka_unit_test_setup_teardown(test_only_other, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_self, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
