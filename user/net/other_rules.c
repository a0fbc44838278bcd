// SPDX-License-Identifier: Apache-2.0
#include "net/other_rules.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/* The rule holds for packets that this namespace generates, whose input device is lo. */
static bool is_for_generated(const struct netlink_rule *rule)
{
	return rule->input_name[0] == '\0' || strcmp(rule->input_name, "lo") == 0;
}

static bool leads_elsewhere(const struct netlink_rule *rule)
{
	if (rule->action == FR_ACT_GOTO)
		return true;
	return rule->action == FR_ACT_TO_TBL && rule->table != RT_TABLE_LOCAL;
}

static bool has_other_table(const struct netlink_rule *rule)
{
	return leads_elsewhere(rule) && rule->table != RT_TABLE_MAIN &&
	       rule->table != RT_TABLE_DEFAULT;
}

/* The mark selects no packet without a mark, or all of them. */
static bool mark_holds(const struct netlink_rule *rule)
{
	return (rule->mark == 0) != rule->inverted;
}

static bool is_special(const struct netlink_rule *rule)
{
	bool names_addresses = rule->has_source || rule->has_destination;

	return rule->special || rule->output_name[0] || rule->ip_protocol || rule->port ||
	       (rule->mark_mask && !mark_holds(rule)) || (rule->inverted && names_addresses);
}

enum other_rule other_rule_judge(const struct netlink_rule *rule)
{
	if (!is_for_generated(rule))
		return OTHER_RULE_FOLLOWED;
	if (rule->priority <= NETLINK_RULES_LAST)
		return leads_elsewhere(rule) ? OTHER_RULE_FIRST : OTHER_RULE_FOLLOWED;
	return is_special(rule) && has_other_table(rule) ? OTHER_RULE_SPECIAL : OTHER_RULE_FOLLOWED;
}

bool other_rule_holds(const struct netlink_rule *rule, const uint8_t source[16])
{
	if (rule->priority <= NETLINK_RULES_LAST || !is_for_generated(rule) || is_special(rule))
		return false;
	return !rule->has_source || (source && prefix_contains(&rule->source, source));
}

const char *other_rule_format(const struct netlink_rule *rule, char text[OTHER_RULE_TEXT_MAX])
{
	const char *family = rule->family == AF_INET ? "IPv4" : "IPv6";

	if (rule->action == FR_ACT_GOTO)
		(void)snprintf(text, OTHER_RULE_TEXT_MAX, "%u (%s, goto %u)", rule->priority,
			       family, rule->target);
	else
		(void)snprintf(text, OTHER_RULE_TEXT_MAX, "%u (%s, table %u)", rule->priority,
			       family, rule->table);
	return text;
}
