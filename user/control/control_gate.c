// SPDX-License-Identifier: Apache-2.0
#include "control/control_gate.h"

#include <errno.h>

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
	int error = control_origin_judge(gate->origin, fd, peer, gate->allow, gate->allow_count,
					 &why);

	if (error == -EPERM)
		*ret_answer = refuse_inside(gate, peer, why);
	else if (error == -EACCES)
		*ret_answer = refuse_stranger(gate, peer, why);
	return error == -EPERM ? -EACCES : error;
}
