/* SPDX-License-Identifier: Apache-2.0 */
/* Names the routing rules of others in the log that packets of this namespace cannot follow. */
#ifndef SIDESTEP_RULE_NEWS_H
#define SIDESTEP_RULE_NEWS_H

#include "lib/array.h"
#include "lib/complaint.h"

/* All zero at first. */
struct rule_news {
	struct array told; /* struct netlink_rule */
	struct complaint first, special;
};

/* Logs the rules of @others (struct netlink_rule) that were not there at the last call. */
void rule_news_tell(struct rule_news *news, const struct array *others);

void rule_news_release(struct rule_news *news);

#endif
