/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a request to an OTLP collector is repeated
 * (https://opentelemetry.io/docs/specs/otlp/#otlphttp-response).
 */
#ifndef SIDESTEP_OTLP_RETRY_H
#define SIDESTEP_OTLP_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* The pause after the first failure, the longest pause, and the longest that a collector may ask
 * for, ms. */
#define OTLP_RETRY_FIRST_MS 1000
#define OTLP_RETRY_MAX_MS   30000
#define OTLP_RETRY_ASKED_MS 300000

/* Is it worth it to repeat a request after this? @status: of the answer, or a negative errno. */
bool otlp_retry_wanted(int status);

/* Returns the pause in ms after @failures in a row, of which half depends on @chance. So many
 * senders do not come back together. @asked_ms: what the collector asks for; 0: nothing. */
uint64_t otlp_retry_pause(unsigned int failures, uint64_t asked_ms, uint32_t chance);

/* Reads the header Retry-After at @now: seconds or a date (RFC 9110 section 10.2.3). Returns ms, or
 * 0: it cannot be read, or is over. */
uint64_t otlp_retry_after(const char *text, time_t now);

#endif
