// SPDX-License-Identifier: Apache-2.0
#include "proxy/first_speaker.h"

#include <stddef.h>

#include "lib/util.h"

/* IANA's service names, and the ports that servers of these protocols have by default. */
static const uint16_t tls_ports[] = {443,  465,	 563,  636,  853,  989,	 990,  992,  993,  995,
				     2376, 4443, 5061, 5223, 5671, 6443, 6697, 8443, 8883, 9443};
static const uint16_t http_ports[] = {80, 8000, 8008, 8080, 8081, 8088, 8888};
static const uint16_t server_ports[] = {21,  22,  23,	25,   110,  119, 143,
					587, 873, 2525, 3306, 4190, 5900};

/* An entry has the time in its upper bits, in units of 2^LEARNED_SHIFT ms, and the speaker in the
 * lower two. 0: nothing was learned. */
#define LEARNED_SHIFT 14
#define LEARNED_KEPT  (FIRST_SPEAKER_KEPT_MS >> LEARNED_SHIFT)

static bool has_port(const uint16_t *ports, size_t count, uint16_t port)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (ports[i] == port)
			return true;
	}
	return false;
}

static enum first_speaker table_lookup(uint16_t port)
{
	if (has_port(tls_ports, ARRAY_SIZE(tls_ports), port) || first_speaker_is_http(port))
		return FIRST_SPEAKER_CLIENT;
	return has_port(server_ports, ARRAY_SIZE(server_ports), port) ? FIRST_SPEAKER_SERVER
								      : FIRST_SPEAKER_UNKNOWN;
}

static unsigned int learned_now(uint64_t now_ms)
{
	return (unsigned int)(now_ms >> LEARNED_SHIFT) << 2;
}

bool first_speaker_is_http(uint16_t port)
{
	return has_port(http_ports, ARRAY_SIZE(http_ports), port);
}

enum first_speaker first_speaker_expect(const struct first_speakers *speakers, uint16_t port,
					uint64_t now_ms)
{
	enum first_speaker who = table_lookup(port);
	unsigned int learned;

	if (who != FIRST_SPEAKER_UNKNOWN)
		return who;
	learned = atomic_load_explicit(&speakers->learned[port], memory_order_relaxed);
	if (learned == 0 || (learned_now(now_ms) - (learned & ~3U)) >> 2 > LEARNED_KEPT)
		return FIRST_SPEAKER_UNKNOWN;
	return (enum first_speaker)(learned & 3);
}

void first_speaker_learn(struct first_speakers *speakers, uint16_t port, enum first_speaker who,
			 uint64_t now_ms)
{
	unsigned int learned = learned_now(now_ms) | who;

	if (table_lookup(port) == FIRST_SPEAKER_UNKNOWN &&
	    atomic_load_explicit(&speakers->learned[port], memory_order_relaxed) != learned)
		atomic_store_explicit(&speakers->learned[port], learned, memory_order_relaxed);
}
