// SPDX-License-Identifier: Apache-2.0
#include "steering/rule_news.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/log.h"
#include "net/other_rules.h"

static bool is_told(const struct rule_news *news, const struct netlink_rule *rule)
{
	const struct netlink_rule *told = news->told.items;
	size_t i;

	for (i = 0; i < news->told.count; i++)
		if (told[i].family == rule->family && told[i].priority == rule->priority &&
		    told[i].table == rule->table)
			return true;
	return false;
}

static void tell(struct rule_news *news, const struct netlink_rule *rule)
{
	char suffix[COMPLAINT_SUFFIX_MAX], text[OTHER_RULE_TEXT_MAX];

	switch (other_rule_judge(rule)) {
	case OTHER_RULE_FOLLOWED:
		return;
	case OTHER_RULE_FIRST:
		if (complaint_due(&news->first, suffix))
			log_warning(
				"the routing rule %s comes before those of sidestep (%d to %d). "
				"Connections that it routes are dropped, not steered: give it a "
				"higher number%s",
				other_rule_format(rule, text), NETLINK_RULES_FIRST,
				NETLINK_RULES_LAST, suffix);
		return;
	case OTHER_RULE_SPECIAL:
		if (complaint_due(&news->special, suffix))
			log_warning("the routing rule %s selects by more than addresses. Replies, "
				    "and other packets that sidestep lets out, may not follow it%s",
				    other_rule_format(rule, text), suffix);
		return;
	}
}

void rule_news_tell(struct rule_news *news, const struct array *others)
{
	const struct netlink_rule *rules = others->items;
	struct array told = {.size = sizeof(*rules), .limit = others->limit};
	size_t i;

	for (i = 0; i < others->count; i++) {
		if (other_rule_judge(&rules[i]) == OTHER_RULE_FOLLOWED)
			continue;
		if (!is_told(news, &rules[i]))
			tell(news, &rules[i]);
		/* Without memory it is told again. */
		(void)array_append(&told, &rules[i]);
	}
	rule_news_release(news);
	news->told = told;
}

void rule_news_release(struct rule_news *news)
{
	free(news->told.items);
	news->told = (struct array) {0};
}
