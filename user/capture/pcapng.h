/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a capture file in the format pcapng (draft-ietf-opsawg-pcapng), with one interface and
 * with the secrets of TLS in between. Wireshark and tshark open it without further files. Debian's
 * libpcap writes no secrets.
 */
#ifndef SIDESTEP_PCAPNG_H
#define SIDESTEP_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Write a block to @file, in the byte order of this machine, which the format allows. Return 0 or
 * -EIO; a full disk may show only when @file is flushed. */

/* The beginning: a section, and an interface with Ethernet frames and times in ns. @interface is
 * its name, @program what writes. */
int pcapng_begin(FILE *file, const char *interface, const char *program);

/* Lines of a key log file, with their ends. They belong in front of the packets that they open. */
int pcapng_secrets(FILE *file, const char *lines, size_t size);

/* A packet that came @time_ns after the epoch, of which @size bytes were captured of @length. */
int pcapng_packet(FILE *file, uint64_t time_ns, const void *packet, size_t size, size_t length);

#endif
