/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the application may resolve: set over the control API (PUT /egress) while the proxy's
 * threads ask. A change is seen by them as a whole or not at all.
 */
#ifndef SIDESTEP_POLICY_H
#define SIDESTEP_POLICY_H

#include <stdbool.h>
#include <stddef.h>

/* How many globs, and how long each. */
#define POLICY_GLOBS_MAX 1024
#define POLICY_GLOB_MAX	 255

struct policy;

/* At first the internet is on and every name is allowed ("*"). Returns 0 or -ENOMEM. */
int policy_new(struct policy **ret_policy);
void policy_free(struct policy *policy);

/* What a request changes; what it does not name stays as it is. */
struct policy_change {
	bool has_internet;
	bool internet;
	bool has_allowed;
	const char *const *allowed; /* globs; none: match nothing. Copied */
	size_t allowed_count;
};

/* Applies all of it at once. Thread safe. Returns 0, -EINVAL (a glob is empty or too long),
 * -E2BIG or -ENOMEM, and then nothing has changed. */
int policy_apply(struct policy *policy, const struct policy_change *change);

/* Is the internet on? Thread safe. */
bool policy_internet(const struct policy *policy);

/* Does a glob match @name, a host name in text form? Letter case and one dot at the end do not
 * matter; "*" matches any run of characters, dots too; alone it matches every name. Thread safe. */
bool policy_allows(const struct policy *policy, const char *name);

struct policy_verdict {
	bool internet;
	bool allowed;
};

/* Both questions about one state of the policy, where the answers belong together. @name may be
 * NULL: not allowed. Thread safe. */
struct policy_verdict policy_judge(const struct policy *policy, const char *name);

#endif
