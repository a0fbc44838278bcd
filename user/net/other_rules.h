/* SPDX-License-Identifier: Apache-2.0 */
/* Judges the routing rules of others: a VPN's, or those of several uplinks. Pure, no I/O. */
#ifndef SIDESTEP_OTHER_RULES_H
#define SIDESTEP_OTHER_RULES_H

#include <stdint.h>

#include "net/netlink_route.h"

enum other_rule {
	/* Packets that leave by way of lo follow it. */
	OTHER_RULE_FOLLOWED,
	/* It holds for some packets of an address only, as their mark, user or port decides. */
	OTHER_RULE_SPECIAL,
	/* It comes before ours, so its packets never reach lo. */
	OTHER_RULE_FIRST,
};

/* Whether a rule that is not ours is followed. One that leads no packet of this namespace to a
 * table of its own counts as such. */
enum other_rule other_rule_judge(const struct netlink_rule *rule);

/* Whether the rule, which is followed, holds for packets from @source, an address of ours. NULL:
 * from an address that no rule names. They have no mark, and their destination is not looked at. */
bool other_rule_holds(const struct netlink_rule *rule, const uint8_t source[16]);

#define OTHER_RULE_TEXT_MAX 64

/* Writes the rule's number, family and table. Returns @text. */
const char *other_rule_format(const struct netlink_rule *rule, char text[OTHER_RULE_TEXT_MAX]);

#endif
