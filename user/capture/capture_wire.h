/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between a sidecar and `sidestep capture`. Both are the same program on the same
 * machine. They talk over a unix socket (SOCK_SEQPACKET), so that each message arrives as a whole.
 */
#ifndef SIDESTEP_CAPTURE_WIRE_H
#define SIDESTEP_CAPTURE_WIRE_H

#include <stdint.h>
#include <sys/socket.h>

/* Each change of a message raises it. */
#define CAPTURE_VERSION 1

/* Readers of a sidecar at a time. It closes the connection of another one. */
#define CAPTURE_READERS_MAX 4

/* The most bytes behind a struct capture_frame. */
#define CAPTURE_PAYLOAD 65536

/* The kind of the socket (lib/run_socket.h). */
#define CAPTURE_SOCKET "capture"

/* The first message, from the reader. Nothing is sent to it before. */
struct capture_request {
	uint32_t version; /* CAPTURE_VERSION */
	uint32_t data;	  /* 1: it wants CAPTURE_DATA, too */
};

enum capture_frame_type {
	CAPTURE_SECRET, /* payload: a line of a key log file, without its end */
	CAPTURE_OPEN,	/* payload: struct capture_open */
	CAPTURE_DATA,	/* payload: plaintext */
	CAPTURE_CLOSE,
	CAPTURE_LOST, /* .id messages did not get to this reader, because it is too slow */
};

/* A message to the reader; the payload follows. */
struct capture_frame {
	uint32_t type;
	uint32_t direction; /* CAPTURE_DATA: enum tls_tap_direction */
	uint64_t id;	    /* of the connection */
	uint64_t time_us;   /* CLOCK_REALTIME */
};

struct capture_open {
	struct sockaddr_storage source;	     /* the application's */
	struct sockaddr_storage destination; /* that it connected to */
	char name[256];			     /* of the certificate, NUL-terminated */
};

#endif
