/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an HTTP archive (HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/) of HTTP/1.x
 * connections whose plaintext is known. It has all header fields, credentials included.
 */
#ifndef SIDESTEP_HAR_H
#define SIDESTEP_HAR_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct har;

/* Begins the archive in @file, which stays the caller's. NULL: out of memory. */
struct har *har_new(FILE *file);

/* A connection to @name (NUL-terminated) has opened, some of its bytes have passed, and it has
 * ended. Times are in us since the epoch. @direction: enum tls_tap_direction. Connections that are
 * not known, and those that do not speak HTTP/1.x, are left out. */
void har_open(struct har *har, uint64_t id, const char *name);
void har_data(struct har *har, uint64_t id, unsigned int direction, uint64_t now_us,
	      const char *data, size_t size);
void har_close(struct har *har, uint64_t id, uint64_t now_us);

/* Completes the archive, with the answers that have come so far, and frees it. Returns 0 or -EIO.
 * NULL is allowed. */
int har_free(struct har *har);

#endif
