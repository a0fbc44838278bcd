// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_policy.h"

#include <errno.h>

#include "lib/log.h"
#include "lib/search_list.h"
#include "lib/util.h"

int sidecar_policy_new(const struct sidecar_options *options, struct policy **ret_policy)
{
	static const char *const everything[] = {"*"};
	_cleanup_(search_list_clear) struct search_list search;
	struct policy_config config = {
		.allowed = options->made_up.values,
		.allowed_count = options->made_up.count,
		.every_type = sidecar_options_controlled(options),
		.origin = "option --made-up",
	};
	int error = search_list_read("/etc/resolv.conf", &search);

	if (config.every_type && !config.allowed_count) {
		config.allowed = everything;
		config.allowed_count = 1;
		config.origin = "built in";
	}
	config.search = search.domains;
	config.search_count = search.count;
	if (error == 0)
		error = policy_new(&config, ret_policy);
	if (error == -EINVAL || error == -E2BIG) {
		log_error("--made-up: give at most %d patterns of at most %d characters",
			  POLICY_GLOBS_MAX, POLICY_GLOB_MAX);
		return error;
	}
	return error < 0 ? log_errno(error, "cannot create the DNS policy") : 0;
}
