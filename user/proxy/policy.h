/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy says which names the application may resolve, and whether there is an internet. The
 * control API sets it (PUT /egress) while the proxy's threads read it. They see a change as a whole
 * or not at all.
 */
#ifndef SIDESTEP_POLICY_H
#define SIDESTEP_POLICY_H

#include <stdbool.h>
#include <stddef.h>

/* The most globs, and the length of each. */
#define POLICY_GLOBS_MAX 1024
#define POLICY_GLOB_MAX	 255

struct policy;

/* The state at first, with the internet on. All of it is copied. */
struct policy_config {
	const char *const *allowed; /* globs; none: nothing is allowed */
	size_t allowed_count;
	const char *const *search; /* domains of the resolver's search list */
	size_t search_count;
	/* Queries of every type get a made-up answer, not only those for addresses. */
	bool every_type;
	const char *origin; /* a constant: who allows the names (policy_origins()) */
};

/* Returns 0, -EINVAL (a glob is empty or too long), -E2BIG or -ENOMEM. */
int policy_new(const struct policy_config *config, struct policy **ret_policy);
void policy_free(struct policy *policy);

/* A change. Fields that it does not have stay as they are. */
struct policy_change {
	bool has_internet;
	bool internet;
	bool has_allowed;
	const char *const *allowed; /* globs, copied; none: nothing is allowed */
	size_t allowed_count;
	const char *origin; /* a constant: who changes it */
};

/* Applies a whole change at once. Thread safe. Returns 0, or changes nothing and returns -EINVAL (a
 * glob is empty or too long), -E2BIG or -ENOMEM. */
int policy_apply(struct policy *policy, const struct policy_change *change);

/* The longest name for policy_expect(). */
#define POLICY_EXPECTED_MAX 63

/* Has this very name judged as allowed and the internet as off for it, whatever the policy says. ""
 * ends it. Returns whether the name that was expected until now has come to be judged. Thread safe.
 */
bool policy_expect(struct policy *policy, const char *name);

/* Tells who set the policy's parts last. NULL: nobody, or it was not told. Thread safe. */
struct policy_origins {
	const char *allowed, *internet;
};
struct policy_origins policy_origins(const struct policy *policy);

/* Tells whether the internet is on. Thread safe. */
bool policy_internet(const struct policy *policy);

/* Tells whether a glob matches @name, a host name in text form. Letter case and one dot at the end
 * do not matter. "*" matches any run of characters, dots too. Thread safe. */
bool policy_allows(const struct policy *policy, const char *name);

struct policy_verdict {
	bool internet;
	bool allowed;
	/* The resolver's NXDOMAIN stands although the name is allowed: only "*" allows it, and it
	 * is a single label or within the search list. Applications try such names one by one. */
	bool tried;
	bool every_type;
};

/* Answers all questions from one state of the policy. A @name of NULL is not allowed. Thread safe.
 */
struct policy_verdict policy_judge(const struct policy *policy, const char *name);

#endif
