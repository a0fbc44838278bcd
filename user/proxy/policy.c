// SPDX-License-Identifier: Apache-2.0
#include "proxy/policy.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/hostname.h"

/* Constant once it is built. One allocation holds all of it. */
struct globs {
	bool everything; /* "*" is among them; it is not in @text */
	size_t count;
	char text[]; /* each with its NUL: lower case, no dot at the end, no "**" */
};

struct policy {
	pthread_rwlock_t lock; /* of all below; readers cannot starve its writer */
	bool internet;
	struct globs *allowed;
	struct policy_origins origins;
	char expected[POLICY_EXPECTED_MAX + 1]; /* "": none */
	atomic_bool arrived;			/* the expected name; set by readers */
	/* Constant from here on. */
	struct globs *search;
	bool every_type;
};

/*
 * Only the last star is ever tried again. An earlier one can keep its shortest match, because the
 * later star takes up any slack. At most strlen(glob) * length steps.
 */
static bool glob_match(const char *glob, const char *name, size_t length)
{
	const char *star = NULL;
	size_t at = 0, retry = 0;

	while (at < length) {
		if (*glob == '*') {
			star = ++glob;
			retry = at;
			if (!*glob)
				return true;
		} else if (*glob == hostname_lower(name[at])) {
			glob++;
			at++;
		} else if (star) {
			glob = star;
			at = ++retry;
		} else {
			return false;
		}
	}
	while (*glob == '*')
		glob++;
	return !*glob;
}

static bool globs_match(const struct globs *globs, const char *name)
{
	size_t length = hostname_length(name), i;
	const char *glob = globs->text;

	for (i = 0; i < globs->count; i++) {
		if (glob_match(glob, name, length))
			return true;
		glob += strlen(glob) + 1;
	}
	return false;
}

static bool is_within(const char *name, size_t length, const char *domain)
{
	size_t size = strlen(domain);

	return length >= size && (length == size || name[length - size - 1] == '.') &&
	       glob_match(domain, name + length - size, size);
}

/* Tells whether a resolver's client tries @name on its way to another name. */
static bool is_tried(const struct globs *search, const char *name)
{
	size_t length = hostname_length(name), i;
	const char *domain = search->text;

	if (!memchr(name, '.', length))
		return true;
	for (i = 0; i < search->count; i++) {
		if (is_within(name, length, domain))
			return true;
		domain += strlen(domain) + 1;
	}
	return false;
}

/* Copies the normal form of @glob to @text and returns the end, behind the NUL. */
static char *glob_copy(char *text, const char *glob)
{
	size_t length = hostname_length(glob), i;

	for (i = 0; i < length; i++) {
		if (glob[i] != '*' || i == 0 || glob[i - 1] != '*')
			*text++ = hostname_lower(glob[i]);
	}
	*text = '\0';
	return text + 1;
}

static int globs_new(const char *const *allowed, size_t count, struct globs **ret_globs)
{
	struct globs *globs;
	size_t size = 0, i;
	char *end;

	if (count > POLICY_GLOBS_MAX)
		return -E2BIG;
	for (i = 0; i < count; i++) {
		size_t length = strnlen(allowed[i], POLICY_GLOB_MAX + 1);

		if (length == 0 || length > POLICY_GLOB_MAX)
			return -EINVAL;
		size += length + 1;
	}
	globs = malloc(sizeof(*globs) + size);
	if (!globs)
		return -ENOMEM;
	globs->everything = false;
	globs->count = 0;
	end = globs->text;
	for (i = 0; i < count; i++) {
		char *next = glob_copy(end, allowed[i]);

		if (strcmp(end, "*") == 0) {
			globs->everything = true;
			continue;
		}
		globs->count++;
		end = next;
	}
	*ret_globs = globs;
	return 0;
}

static int lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;
	int error = pthread_rwlockattr_init(&attributes);

	if (error)
		return -error;
	/* By default readers overtake the writer, without end while many threads are busy. */
	(void)pthread_rwlockattr_setkind_np(&attributes,
					    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	error = pthread_rwlock_init(lock, &attributes);
	(void)pthread_rwlockattr_destroy(&attributes);
	return -error;
}

int policy_new(const struct policy_config *config, struct policy **ret_policy)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	int error;

	if (!policy)
		return -ENOMEM;
	policy->internet = true;
	policy->every_type = config->every_type;
	policy->origins.allowed = config->origin;
	error = globs_new(config->allowed, config->allowed_count, &policy->allowed);
	if (error == 0)
		error = globs_new(config->search, config->search_count, &policy->search);
	if (error == 0)
		error = lock_init(&policy->lock);
	if (error < 0) {
		free(policy->search);
		free(policy->allowed);
		free(policy);
		return error;
	}
	*ret_policy = policy;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	(void)pthread_rwlock_destroy(&policy->lock);
	free(policy->search);
	free(policy->allowed);
	free(policy);
}

int policy_apply(struct policy *policy, const struct policy_change *change)
{
	struct globs *globs = NULL;

	if (change->has_allowed) {
		int error = globs_new(change->allowed, change->allowed_count, &globs);

		if (error < 0)
			return error;
	}
	(void)pthread_rwlock_wrlock(&policy->lock);
	if (change->has_internet) {
		policy->internet = change->internet;
		policy->origins.internet = change->origin;
	}
	if (change->has_allowed) {
		struct globs *old = policy->allowed;

		policy->allowed = globs;
		policy->origins.allowed = change->origin;
		globs = old;
	}
	(void)pthread_rwlock_unlock(&policy->lock);
	free(globs);
	return 0;
}

bool policy_expect(struct policy *policy, const char *name)
{
	bool arrived;

	(void)pthread_rwlock_wrlock(&policy->lock);
	(void)snprintf(policy->expected, sizeof(policy->expected), "%s", name);
	arrived = atomic_exchange(&policy->arrived, false);
	(void)pthread_rwlock_unlock(&policy->lock);
	return arrived;
}

struct policy_verdict policy_judge(const struct policy *policy, const char *name)
{
	/* Neither changes how names are judged. */
	pthread_rwlock_t *lock = (pthread_rwlock_t *)&policy->lock;
	atomic_bool *arrived = (atomic_bool *)&policy->arrived;
	struct policy_verdict verdict = {.every_type = policy->every_type};
	bool named, everything, expected;

	(void)pthread_rwlock_rdlock(lock);
	verdict.internet = policy->internet;
	named = name && globs_match(policy->allowed, name);
	everything = name && policy->allowed->everything;
	expected = policy->expected[0] && name && strcasecmp(name, policy->expected) == 0;
	if (expected)
		atomic_store(arrived, true);
	(void)pthread_rwlock_unlock(lock);
	if (expected)
		return (struct policy_verdict) {.allowed = true, .every_type = true};
	verdict.allowed = named || everything;
	verdict.tried = everything && !named && is_tried(policy->search, name);
	return verdict;
}

struct policy_origins policy_origins(const struct policy *policy)
{
	pthread_rwlock_t *lock = (pthread_rwlock_t *)&policy->lock;
	struct policy_origins origins;

	(void)pthread_rwlock_rdlock(lock);
	origins = policy->origins;
	(void)pthread_rwlock_unlock(lock);
	return origins;
}

bool policy_internet(const struct policy *policy)
{
	return policy_judge(policy, NULL).internet;
}

bool policy_allows(const struct policy *policy, const char *name)
{
	return policy_judge(policy, name).allowed;
}
