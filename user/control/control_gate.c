// SPDX-License-Identifier: Apache-2.0
#include "control/control_gate.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/log.h"

static const char *refuse_inside(struct control_gate *gate, const struct sockaddr *peer,
				 const char *why)
{
	char text[ADDRESS_TEXT_MAX], suffix[COMPLAINT_SUFFIX_MAX];

	if (complaint_due(&gate->inside, suffix))
		log_warning("control: request of %s refused (403): it comes from %s, and the "
			    "application must not change its own policy%s",
			    endpoint_format(peer, text), why, suffix);
	return "requests from inside the container are refused; ask from the host, through the "
	       "published port";
}

static const char *refuse_stranger(struct control_gate *gate, const struct sockaddr *peer,
				   const char *why)
{
	char text[ADDRESS_TEXT_MAX], suffix[COMPLAINT_SUFFIX_MAX];

	if (complaint_due(&gate->stranger, suffix))
		log_warning(
			"control: request of %s refused (403): it comes from %s; if it may ask, "
			"give its address or subnet with --control-allow%s",
			endpoint_format(peer, text), why, suffix);
	return "only the host may ask, and addresses that the sidecar's option --control-allow "
	       "names";
}

int control_gate_judge(struct control_gate *gate, int fd, const struct sockaddr *peer,
		       const char **ret_answer)
{
	const char *why = NULL;
	int found = control_origin_inside(gate->origin, fd, &why);

	if (found == -ENOTCONN)
		return found;
	if (found != 0) {
		/* The refused request can be read, so that the answer arrives. */
		control_origin_unguard(fd);
		*ret_answer = refuse_inside(gate, peer, found > 0 ? why : strerror(-found));
		return -EACCES;
	}
	if (prefixes_contain(gate->allow, gate->allow_count, peer))
		return 0;
	found = control_origin_stranger(gate->origin, fd, &why);
	if (found == 0)
		return 0;
	*ret_answer = refuse_stranger(gate, peer, found > 0 ? why : strerror(-found));
	return -EACCES;
}
