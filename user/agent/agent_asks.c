// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_asks.h"

#include <errno.h>
#include <sys/socket.h>

#include "datapath/rendezvous.h"

ssize_t agent_asks_take(int asks_fd, void *ask, size_t size)
{
	/* recv(2) takes no descriptors, so the kernel closes them. */
	ssize_t taken = recv(asks_fd, ask, size, MSG_DONTWAIT | MSG_TRUNC);

	if (taken > 0)
		return taken;
	return taken < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

const char *agent_asks_answer(int asks_fd, int answer)
{
	const struct agent_answer reply = {.error = answer < 0 ? answer : 0};

	/* It fails if earlier answers were not read. */
	return rendezvous_send(asks_fd, &reply, sizeof(reply), answer, MSG_DONTWAIT) < 0
		       ? "does not take its answers"
		       : NULL;
}
