// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_news.h"

#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

static bool is_id(const char id[65])
{
	size_t length = strnlen(id, 65);

	return length > 0 && length < 65 && strspn(id, "0123456789abcdef") == length;
}

static bool is_name(const char name[64])
{
	size_t length = strnlen(name, 64), i;

	for (i = 0; i < length; i++)
		if (name[i] < 0x20 || name[i] > 0x7e)
			return false;
	return length > 0 && length < 64;
}

bool agent_news_valid(const struct agent_news *news, size_t size, int64_t now_us)
{
	size_t i;

	if (size < agent_news_size(0) || news->type > AGENT_NEWS_REMOVAL_OVER ||
	    news->count > AGENT_NEWS_SEEN_MAX || size != agent_news_size(news->count) ||
	    news->heard_us < 0 || news->heard_us > now_us)
		return false;
	if ((news->type == AGENT_NEWS_PART && news->count < AGENT_NEWS_SEEN_MAX) ||
	    (news->type == AGENT_NEWS_REMOVAL_OVER && news->count > 0))
		return false;
	for (i = 0; i < news->count; i++) {
		const struct agent_seen *seen = &news->seen[i];

		if (!is_id(seen->id) || !is_name(seen->name) || seen->pid < 0 ||
		    (seen->roles & ~(uint32_t)(AGENT_SIDECAR | AGENT_GUARDED)) ||
		    seen->unused_since_ms < 0 || seen->unused_since_ms > now_us / 1000)
			return false;
	}
	return true;
}

const char *agent_news_log_text(char *line, size_t size, unsigned int *ret_level)
{
	static const char program[] = "sidestep: ";
	static const struct {
		const char *prefix;
		enum log_level level;
	} levels[] = {
		{"error: ", LOG_ERROR},
		{"warning: ", LOG_WARNING},
		{"info: ", LOG_INFO},
		{"debug: ", LOG_DEBUG},
	};
	const char *rest = line + sizeof(program) - 1;
	size_t i;

	line[size - (line[size - 1] == '\n')] = '\0';
	*ret_level = LOG_WARNING;
	if (strncmp(line, program, sizeof(program) - 1) != 0)
		return line;
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		size_t length = strlen(levels[i].prefix);

		if (strncmp(rest, levels[i].prefix, length) != 0)
			continue;
		*ret_level = levels[i].level;
		return rest + length;
	}
	return line;
}
