// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath.h"

#include <netinet/in.h>
#include <string.h>

void datapath_flow_key(const struct flow *flow, struct sidestep_flow_key *ret_key)
{
	const struct sockaddr_in *local = (const struct sockaddr_in *)&flow->source;
	const struct sockaddr_in *remote = (const struct sockaddr_in *)&flow->destination;

	memset(ret_key, 0, sizeof(*ret_key));
	address_from_sockaddr((const struct sockaddr *)&flow->source, ret_key->local_address);
	address_from_sockaddr((const struct sockaddr *)&flow->destination, ret_key->remote_address);
	/* The port stands at the same place in both families' socket addresses. */
	ret_key->local_port = ntohs(local->sin_port);
	ret_key->remote_port = ntohs(remote->sin_port);
	ret_key->protocol = IPPROTO_TCP;
}
