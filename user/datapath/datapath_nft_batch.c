// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_batch.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

void nft_batch_fail(struct nft_batch *batch, int error)
{
	if (batch->error == 0)
		batch->error = error;
}

/* Makes room for one more message. */
static int reserve(struct nft_batch *batch)
{
	size_t room = batch->room ? batch->room : (size_t)2 * NFT_MESSAGE_ROOM, last = 0;
	char *messages;

	while (room - batch->length < NFT_MESSAGE_ROOM)
		room *= 2;
	if (room == batch->room)
		return 0;
	if (room > NFT_BATCH_MAX)
		return -EMSGSIZE;
	if (batch->last)
		last = (size_t)((char *)batch->last - batch->messages);
	messages = realloc(batch->messages, room);
	if (!messages)
		return -ENOMEM;
	batch->messages = messages;
	batch->room = room;
	if (batch->last)
		batch->last = (struct nlmsghdr *)(messages + last);
	return 0;
}

/* Returns the place of the next message, or NULL after an error. */
static char *next(struct nft_batch *batch)
{
	if (batch->error == 0)
		nft_batch_fail(batch, reserve(batch));
	return batch->error == 0 ? batch->messages + batch->length : NULL;
}

void nft_batch_add(struct nft_batch *batch, struct nlmsghdr *message)
{
	batch->length += MNL_ALIGN(message->nlmsg_len);
	batch->last = message;
}

void nft_batch_open(struct nft_batch *batch)
{
	char *begin;

	*batch = (struct nft_batch) {0};
	begin = next(batch);
	if (begin)
		nft_batch_add(batch, nftnl_batch_begin(begin, batch->sequence));
}

struct nlmsghdr *nft_batch_message(struct nft_batch *batch, uint16_t type, uint8_t family,
				   uint16_t flags)
{
	char *message = next(batch);

	return message ? nftnl_nlmsg_build_hdr(message, type, family, flags, ++batch->sequence)
		       : NULL;
}

int nft_socket_open(struct mnl_socket **ret_socket)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int on = 1, size = NFT_BATCH_MAX;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = -errno;

		nft_socket_close(socket);
		return error;
	}
	/* Refusals come without a copy of the message, and a batch may exceed the usual buffer.
	 * Both matter to large batches only. Neither needs more rights than the batch. */
	(void)mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on));
	(void)setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &size,
			 sizeof(size));
	*ret_socket = socket;
	return 0;
}

void nft_socket_close(struct mnl_socket *socket)
{
	if (socket)
		(void)mnl_socket_close(socket);
}

static const struct nlmsghdr *find(const struct nft_batch *batch, uint32_t sequence)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)batch->messages;
	int left = (int)batch->length;

	for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
		if (message->nlmsg_seq == sequence)
			return message;
	return NULL;
}

/* Reads one answer. The first error counts, as later ones are mostly its consequences. */
static void read_answer(const struct nft_batch *batch, const struct nlmsghdr *answer, bool *done,
			struct nft_failure *failure)
{
	const struct nlmsgerr *verdict = mnl_nlmsg_get_payload(answer);

	if (answer->nlmsg_type != NLMSG_ERROR ||
	    mnl_nlmsg_get_payload_len(answer) < sizeof(*verdict) || failure->error < 0)
		return;
	if (verdict->error < 0)
		nft_failure_describe(find(batch, answer->nlmsg_seq), verdict->error, failure);
	else if (answer->nlmsg_seq == batch->last->nlmsg_seq)
		*done = true;
}

/*
 * sendto(2) returns when the kernel has done all of the batch, so the answers are there. They are
 * the refusals, and the acknowledgement of the last message, without which nothing was done.
 */
static void read_answers(struct mnl_socket *socket, const struct nft_batch *batch,
			 struct nft_failure *failure)
{
	_Alignas(struct nlmsghdr) char buffer[8192];
	bool done = false;

	for (;;) {
		ssize_t got = recv(mnl_socket_get_fd(socket), buffer, sizeof(buffer), MSG_DONTWAIT);
		const struct nlmsghdr *answer = (const struct nlmsghdr *)buffer;
		int left = (int)got;

		if (got < 0 && (errno == EINTR || errno == ENOBUFS))
			continue; /* answers that did not fit are later refusals */
		if (got < 0)
			break;
		for (; mnl_nlmsg_ok(answer, left); answer = mnl_nlmsg_next(answer, &left))
			read_answer(batch, answer, &done, failure);
	}
	if (!done && failure->error == 0)
		nft_failure_describe(NULL, -EIO, failure);
}

/* Sends the batch, and reads the kernel's answers. */
static int carry_out(struct mnl_socket *socket, struct nft_batch *batch,
		     struct nft_failure *ret_failure)
{
	*ret_failure = (struct nft_failure) {0};
	if (batch->error == 0 && mnl_socket_sendto(socket, batch->messages, batch->length) < 0)
		nft_batch_fail(batch, -errno);
	if (batch->error < 0)
		nft_failure_describe(NULL, batch->error, ret_failure);
	else
		read_answers(socket, batch, ret_failure);
	return ret_failure->error;
}

int nft_batch_check(struct mnl_socket *socket, struct nft_batch *batch,
		    struct nft_failure *ret_failure)
{
	/* The kernel undoes a batch without an end (nfnetlink_rcv_batch(), net/netfilter). */
	if (batch->last)
		batch->last->nlmsg_flags |= NLM_F_ACK;
	return carry_out(socket, batch, ret_failure);
}

int nft_batch_commit(struct mnl_socket *socket, struct nft_batch *batch,
		     struct nft_failure *ret_failure)
{
	char *end = next(batch);

	if (end) {
		batch->last->nlmsg_flags |= NLM_F_ACK;
		batch->length += nftnl_batch_end(end, batch->sequence + 1)->nlmsg_len;
	}
	return carry_out(socket, batch, ret_failure);
}
