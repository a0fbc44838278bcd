/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells who speaks first on a destination port: the client, as in TLS and HTTP, or the server, as
 * in SSH and SMTP. A client that speaks first can be waited for, which costs a server-first
 * protocol its time.
 *
 * A table has the well-known ports, and docs/CONTROL-API.md lists it. Other ports are learned from
 * the connections that pass, and forgotten FIRST_SPEAKER_KEPT_MS after the last one.
 */
#ifndef SIDESTEP_FIRST_SPEAKER_H
#define SIDESTEP_FIRST_SPEAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FIRST_SPEAKER_KEPT_MS 3600000

enum first_speaker {
	FIRST_SPEAKER_UNKNOWN,
	FIRST_SPEAKER_CLIENT,
	FIRST_SPEAKER_SERVER,
};

/* The speaker learned for each port. Zero-initialised: none. The threads of a proxy share it. */
struct first_speakers {
	atomic_uint learned[65536];
};

/* @port is in host byte order, here and below. @now_ms is of CLOCK_MONOTONIC. */
enum first_speaker first_speaker_expect(const struct first_speakers *speakers, uint16_t port,
					uint64_t now_ms);

/* Remembers who spoke first, unless the table has the port. The last call counts. */
void first_speaker_learn(struct first_speakers *speakers, uint16_t port, enum first_speaker who,
			 uint64_t now_ms);

/* Tells whether the table has the port as one of HTTP. */
bool first_speaker_is_http(uint16_t port);

#endif
