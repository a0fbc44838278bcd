// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_retry.h"

#include <stdlib.h>
#include <string.h>

bool otlp_retry_wanted(int status)
{
	return status < 0 || status == 429 || (status >= 502 && status <= 504);
}

uint64_t otlp_retry_pause(unsigned int failures, uint64_t asked_ms, uint32_t chance)
{
	uint64_t pause = OTLP_RETRY_FIRST_MS;

	while (failures-- > 1 && pause < OTLP_RETRY_MAX_MS)
		pause *= 2;
	if (pause > OTLP_RETRY_MAX_MS)
		pause = OTLP_RETRY_MAX_MS;
	pause = pause / 2 + chance % (pause / 2 + 1);
	if (asked_ms > OTLP_RETRY_ASKED_MS)
		asked_ms = OTLP_RETRY_ASKED_MS;
	return asked_ms > pause ? asked_ms : pause;
}

uint64_t otlp_retry_after(const char *text, time_t now)
{
	size_t digits = strspn(text, "0123456789");
	struct tm date = {0};
	const char *end;
	time_t then;

	if (digits > 0 && text[digits] == '\0')
		return digits > 9 ? OTLP_RETRY_ASKED_MS : strtoul(text, NULL, 10) * UINT64_C(1000);
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &date);
	if (!end || *end != '\0')
		return 0;
	then = timegm(&date);
	return then > now ? (uint64_t)(then - now) * 1000 : 0;
}
