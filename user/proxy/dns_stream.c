// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_stream.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "proto/dns_message.h"
#include "proxy/dns_event.h"
#include "proxy/dns_policy.h"
#include "proxy/policy.h"
#include "stream/relay_pump.h"

#define DNS_PORT 53
/* Each message has its size in front (RFC 1035 section 4.2.2). */
#define FRAME_HEAD 2
#define FRAME_MAX  (FRAME_HEAD + 65535)
/* A query is told from other protocols by its size, and its header up to the number of questions.
 */
#define BEGINNING (FRAME_HEAD + 6)
/* Messages that a lane moves before other connections get their turn. */
#define LANE_BUDGET 64

/* One direction: number 0 leads away from the application. */
struct lane {
	uint8_t *frame; /* FRAME_MAX; NULL: none is in progress */
	size_t have;	/* octets that were read */
	size_t sent;	/* of them */
	int to;		/* the side that gets the whole frame */
	bool whole;
	bool ended;  /* the source's EOF was read */
	bool closed; /* and passed on, or a message had no answer: nothing more passes */
};

struct dns_stream {
	const struct proxy_config *config;
	struct relay *relay;
	const struct flow *flow;
	bool alone;
	bool decided; /* it is DNS */
	struct lane lanes[2];
	struct lane *sender[2]; /* the lane whose frame a side has got a part of */
	struct loop_task again;
};

bool dns_stream_judges(const struct proxy_config *config, uint16_t port)
{
	return config->dns && port == DNS_PORT && (config->policy || config->sni_hint);
}

bool dns_stream_is_alone(const struct dns_stream *stream)
{
	return stream->alone;
}

bool dns_stream_is_dns(const struct dns_stream *stream)
{
	return stream->decided;
}

static size_t frame_size(const uint8_t *frame)
{
	return FRAME_HEAD + ((size_t)frame[0] << 8 | frame[1]);
}

/* Puts @message into the lane's frame, for side @to. */
static void lane_put(struct lane *lane, const uint8_t *message, size_t size, int to)
{
	lane->frame[0] = (uint8_t)(size >> 8);
	lane->frame[1] = (uint8_t)size;
	memcpy(lane->frame + FRAME_HEAD, message, size);
	lane->have = FRAME_HEAD + size;
	lane->to = to;
}

/* Gives the application the answer of ours to @question. */
static void lane_answer(struct dns_stream *stream, struct lane *lane,
			const struct dns_question *question, const uint8_t *message, size_t size)
{
	const struct dns_event_flow flow = {
		.protocol = IPPROTO_TCP,
		.client = (const struct sockaddr *)&stream->flow->source,
		.resolver = (const struct sockaddr *)&stream->flow->destination,
	};

	dns_event_answer(stream->config, &flow, question, message, NULL);
	lane_put(lane, message, size, 0);
}

/* Judges the application's message in lane 0. Returns 0 or negative errno. */
static int judge_query(struct dns_stream *stream, struct lane *lane)
{
	uint8_t message[DNS_ANSWER_MAX];
	struct dns_question question;
	int size = dns_policy_query(stream->config, lane->frame + FRAME_HEAD,
				    lane->have - FRAME_HEAD, &question, message);

	/* The internet is on again. The client asks once more, and then gets the gateway. */
	if (size < 0 || (size == 0 && stream->alone))
		return -ECONNRESET;
	lane->to = 1;
	if (size > 0)
		lane_answer(stream, lane, &question, message, (size_t)size);
	return 0;
}

/* Judges the message of the resolver in lane 1. Messages that are no answers pass. */
static void judge_answer(struct dns_stream *stream, struct lane *lane)
{
	uint8_t message[DNS_ANSWER_MAX], *answer = lane->frame + FRAME_HEAD;
	size_t size = lane->have - FRAME_HEAD;
	struct dns_question question;

	lane->to = 0;
	if (size < DNS_HEADER_SIZE || dns_answer_question(answer, size, &question) < 0)
		return;
	size = dns_policy_answer(stream->config, &question, answer, size, message);
	if (size > 0)
		lane_answer(stream, lane, &question, message, size);
}

/* Reads up to @size octets of the source: first those that the relay keeps. Returns their number,
 * 0: none now, or negative errno. Sets lane->ended at the end. */
static ssize_t lane_read(struct dns_stream *stream, int index, uint8_t *data, size_t size)
{
	struct relay_direction *kept = &stream->relay->direction[index];
	struct loop_handler *from = &stream->relay->side[index];
	ssize_t got;

	if (kept->buffer) {
		got = (ssize_t)(kept->end - kept->begin);
		got = (size_t)got < size ? got : (ssize_t)size;
		memcpy(data, kept->buffer + kept->begin, (size_t)got);
		kept->begin += (uint32_t)got;
		if (kept->begin == kept->end) {
			free(kept->buffer);
			kept->buffer = NULL;
			kept->begin = kept->end = 0;
		}
		return got;
	}
	if (kept->ended || !(from->latched & EPOLLIN)) {
		stream->lanes[index].ended = kept->ended;
		return 0;
	}
	do
		got = recv(from->fd, data, size, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN)
		return -errno;
	if (got < 0)
		from->latched &= ~(uint32_t)EPOLLIN;
	else if (got == 0)
		stream->lanes[index].ended = true;
	return got > 0 ? got : 0;
}

/* Reads the frame's next part. Returns 1: go on, 0: nothing more now, or negative errno. */
static int lane_fill(struct dns_stream *stream, int index)
{
	struct lane *lane = &stream->lanes[index];
	size_t wanted;
	ssize_t got;

	if (!lane->frame) {
		lane->frame = malloc(FRAME_MAX);
		lane->have = 0;
	}
	if (!lane->frame)
		return -ENOMEM;
	wanted = lane->have < FRAME_HEAD ? FRAME_HEAD : frame_size(lane->frame);
	got = lane_read(stream, index, lane->frame + lane->have, wanted - lane->have);
	if (got <= 0)
		return (int)got;
	lane->have += (size_t)got;
	if (lane->have < FRAME_HEAD || lane->have < frame_size(lane->frame))
		return 1;
	lane->sent = 0;
	if (index == 1) {
		judge_answer(stream, lane);
	} else {
		int error = judge_query(stream, lane);

		if (error < 0) {
			lane->closed = true;
			return error;
		}
	}
	lane->whole = true;
	return 1;
}

/* Sends the lane's whole frame. Returns 1: done, 0: not now, or negative errno. */
static int lane_send(struct dns_stream *stream, struct lane *lane)
{
	struct loop_handler *to = &stream->relay->side[lane->to];
	struct lane **sender = &stream->sender[lane->to];

	if (*sender && *sender != lane)
		return 0;
	*sender = lane;
	while (lane->sent < lane->have) {
		ssize_t size;

		if (!(to->latched & EPOLLOUT))
			return 0;
		size = send(to->fd, lane->frame + lane->sent, lane->have - lane->sent,
			    MSG_NOSIGNAL);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != EAGAIN)
			return -errno;
		if (size < 0) {
			to->latched &= ~(uint32_t)EPOLLOUT;
			return 0;
		}
		lane->sent += (size_t)size;
		stream->relay->moved[!lane->to] += (uint64_t)size;
	}
	*sender = NULL;
	lane->whole = false;
	lane->have = 0;
	return 1;
}

/* Moves at most @budget messages, until the source or the target blocks. Returns 0 or negative
 * errno. */
static int lane_move(struct dns_stream *stream, int index, unsigned int budget)
{
	struct lane *lane = &stream->lanes[index];
	int result;

	do {
		if (lane->whole) {
			result = lane_send(stream, lane);
			budget--;
		} else if (budget == 0) {
			loop_defer(stream->relay->pool->loop, &stream->again);
			return 0;
		} else {
			result = lane_fill(stream, index);
		}
	} while (result > 0);
	if (result == 0 && lane->have == 0) {
		free(lane->frame);
		lane->frame = NULL;
	}
	return result;
}

/* The same, and passes the source's end on. */
static int lane_pump(struct dns_stream *stream, int index)
{
	struct lane *lane = &stream->lanes[index];
	int result = lane_move(stream, index, LANE_BUDGET);

	/* A part of a message is nothing to pass on. */
	if (result == 0 && lane->ended && !lane->whole && !lane->closed) {
		lane->closed = true;
		if (stream->alone)
			return 0;
		stream->relay->led[!index] = !stream->lanes[!index].ended;
		if (!stream->lanes[!index].closed)
			(void)shutdown(stream->relay->side[!index].fd, SHUT_WR);
	}
	return result;
}

static void stream_finish(struct dns_stream *stream, bool reset)
{
	loop_cancel(&stream->again);
	stream->relay->finished = true;
	stream->relay->finish(stream->relay, reset);
}

/* A side has failed. Passes on the messages that it sent before and the other side takes now, as
 * the relay does with bytes. No end of a stream follows them. */
static void stream_fail(struct dns_stream *stream)
{
	int i;

	for (i = 0; i < 2 && !stream->alone; i++) {
		struct loop_handler *side = &stream->relay->side[i];

		if (stream->lanes[i].closed)
			continue;
		side->latched |= EPOLLIN;
		(void)lane_move(stream, i, relay_hung_up(side->fd) ? UINT_MAX : LANE_BUDGET);
	}
	stream_finish(stream, true);
}

static void stream_pump(struct dns_stream *stream)
{
	struct relay *relay = stream->relay;
	uint64_t before = relay->moved[0] + relay->moved[1];
	int error = lane_pump(stream, 0);

	if (error == 0 && !stream->alone) {
		error = lane_pump(stream, 1);
		/* It may have waited for the other lane's frame. */
		if (error == 0 && stream->lanes[0].whole)
			error = lane_pump(stream, 0);
	}
	if (relay->progress && relay->moved[0] + relay->moved[1] != before)
		relay->progress(relay);
	if (error < 0)
		stream_fail(stream);
	else if (stream->lanes[0].closed && (stream->alone || stream->lanes[1].closed))
		stream_finish(stream, false);
}

/* Tells whether a side was reset. The kernel tells an error once, perhaps to a call that only
 * looked. */
static bool has_failed(const struct relay *relay)
{
	return (relay->side[0].latched | relay->side[1].latched) & EPOLLERR;
}

/* Looks at the application's first octets. Returns 1: DNS, 0: more must come, -1: not DNS. */
static int stream_looks(const struct dns_stream *stream)
{
	const struct relay_direction *kept = &stream->relay->direction[0];
	size_t have = kept->end - kept->begin;
	uint8_t first[BEGINNING];
	ssize_t got;

	have = have < sizeof(first) ? have : sizeof(first);
	if (have > 0)
		memcpy(first, kept->buffer + kept->begin, have);
	if (have < sizeof(first)) {
		got = recv(stream->relay->side[0].fd, first + have, sizeof(first) - have, MSG_PEEK);
		if (got == 0 || kept->ended)
			return -1;
		have += got > 0 ? (size_t)got : 0;
	}
	if (have < sizeof(first))
		return 0;
	return frame_size(first) >= FRAME_HEAD + DNS_HEADER_SIZE &&
			       dns_begins_query(first + FRAME_HEAD)
		       ? 1
		       : -1;
}

/* Has the server sent a byte, or its end? The latch alone may be older than the last read. */
static bool server_speaks(const struct relay *relay)
{
	char first;

	return relay->direction[1].buffer ||
	       ((relay->side[1].latched & EPOLLIN) &&
		recv(relay->side[1].fd, &first, sizeof(first), MSG_PEEK) >= 0);
}

static void stream_go_on(struct dns_stream *stream)
{
	if (!stream->decided) {
		int looks = stream_looks(stream);

		if (looks < 0 ||
		    (looks == 0 && (has_failed(stream->relay) || server_speaks(stream->relay)))) {
			relay_start(stream->relay);
			return;
		}
		if (looks == 0)
			return;
		stream->decided = true;
	}
	if (has_failed(stream->relay))
		stream_fail(stream);
	else
		stream_pump(stream);
}

static void stream_ready(struct loop_handler *side, uint32_t events)
{
	struct dns_stream *stream = side->owner;

	if (events & (EPOLLRDHUP | EPOLLHUP))
		side->latched |= EPOLLIN;
	stream_go_on(stream);
}

static void stream_again(struct loop_task *task)
{
	stream_go_on(container_of(task, struct dns_stream, again));
}

struct dns_stream *dns_stream_new(const struct proxy_config *config, struct relay *relay,
				  const struct flow *flow)
{
	struct dns_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->config = config;
	stream->relay = relay;
	stream->flow = flow;
	stream->alone = config->policy && !policy_internet(config->policy);
	stream->decided = stream->alone;
	stream->again.run = stream_again;
	return stream;
}

void dns_stream_start(struct dns_stream *stream)
{
	int i;

	for (i = 0; i < 2; i++) {
		stream->relay->side[i].ready = stream_ready;
		stream->relay->side[i].owner = stream;
	}
	stream->relay->started = true;
	stream_go_on(stream);
}

void dns_stream_free(struct dns_stream *stream)
{
	if (!stream)
		return;
	loop_cancel(&stream->again);
	free(stream->lanes[0].frame);
	free(stream->lanes[1].frame);
	free(stream);
}
