/* SPDX-License-Identifier: Apache-2.0 */
/* Writes times as RFC 3339 has them, in UTC, without the C library's calendar and its locks. */
#ifndef SIDESTEP_TIME_TEXT_H
#define SIDESTEP_TIME_TEXT_H

#include <stdint.h>

/* The size of "2026-11-30T00:54:56.123456Z", which has no NUL here. */
#define TIME_TEXT_SIZE 27

/* Writes a time of CLOCK_REALTIME in microseconds. */
void time_text_write(uint64_t time_us, char text[TIME_TEXT_SIZE]);

/* Returns the present one. */
uint64_t time_text_now(void);

#endif
