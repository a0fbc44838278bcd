/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Describes the TCP header (RFC 9293 section 3.1) without options. */
#ifndef SIDESTEP_TCP_HEADER_H
#define SIDESTEP_TCP_HEADER_H

#include "vmlinux.h"

struct tcp_header {
	__be16 source, destination;
	__be32 sequence, acknowledgement;
	__u8 size; /* in its upper half, in words of 4 bytes */
	__u8 flags;
	__be16 window;
	__sum16 checksum;
	__be16 urgent;
};

#endif
