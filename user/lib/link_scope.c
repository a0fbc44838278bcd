// SPDX-License-Identifier: Apache-2.0
#include "lib/link_scope.h"

const char *const link_scope_prefixes[LINK_SCOPE_PREFIXES] = {
	"224.0.0.0/24", "255.255.255.255/32", "fe80::/10", "ff01::/16", "ff02::/16",
};
