// SPDX-License-Identifier: Apache-2.0
#include "datapath/bypass_origin.h"

#include <stdio.h>
#include <string.h>

#include "lib/util.h"

static const char *option_text(enum bypass_option option)
{
	switch (option) {
	case BYPASS_OPTION_BYPASS:
		return "option --bypass";
	case BYPASS_OPTION_DOCKER:
		return "option --docker-gateway-cidr";
	case BYPASS_OPTION_ADDED:
		return "sidestep bypass add";
	default:
		return "option";
	}
}

/* Appends an origin, and the name that it has. */
static void add(char text[BYPASS_ORIGIN_MAX], const char *what, const char *name)
{
	size_t used = strlen(text);

	(void)snprintf(text + used, BYPASS_ORIGIN_MAX - used, "%s%s%s%s", used ? ", " : "", what,
		       *name ? " " : "", name);
}

const char *bypass_origin(const struct bypass_origin *origin, char text[BYPASS_ORIGIN_MAX])
{
	static const struct {
		uint32_t source;
		const char *text;
	} nameless[] = {
		{SIDESTEP_FROM_LOCAL, "local"},	     {SIDESTEP_FROM_BUILTIN, "builtin"},
		{SIDESTEP_FROM_GATEWAY, "gateway"},  {SIDESTEP_FROM_HOST, "host"},
		{SIDESTEP_EXCEPT_DNS, "except dns"},
	};
	size_t i;

	text[0] = '\0';
	if (origin->sources & SIDESTEP_FROM_OPTION)
		add(text, option_text(origin->option), "");
	if (origin->sources & SIDESTEP_FROM_CONNECTED)
		add(text, *origin->device ? "interface" : "connected", origin->device);
	if (origin->sources & SIDESTEP_FROM_DOCKER)
		add(text, *origin->network ? "docker network" : "docker", origin->network);
	for (i = 0; i < ARRAY_SIZE(nameless); i++)
		if (origin->sources & nameless[i].source)
			add(text, nameless[i].text, "");
	return text;
}
