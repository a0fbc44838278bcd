// SPDX-License-Identifier: Apache-2.0
#include "lib/time_text.h"

#include <string.h>
#include <time.h>

/* With zeros in front. */
static void put_digits(char *text, uint64_t number, unsigned int width)
{
	while (width > 0) {
		text[--width] = (char)('0' + number % 10);
		number /= 10;
	}
}

/*
 * The calendar repeats after 400 years (146097 days). They are counted from a 1st of March, so that
 * a leap day is the last of its year.
 */
void time_text_write(uint64_t time_us, char text[TIME_TEXT_SIZE])
{
	uint64_t seconds = time_us / 1000000, second = seconds % 86400;
	uint64_t days = seconds / 86400 + 719468; /* since 0000-03-01 */
	uint64_t period = days / 146097, day = days % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153; /* 0: March */
	day -= (153 * month + 2) / 5;
	year += 400 * period + (month >= 10);
	month = month < 10 ? month + 3 : month - 9;
	put_digits(text, year, 4);
	text[4] = text[7] = '-';
	put_digits(text + 5, month, 2);
	put_digits(text + 8, day + 1, 2);
	text[10] = 'T';
	put_digits(text + 11, second / 3600, 2);
	text[13] = text[16] = ':';
	put_digits(text + 14, second / 60 % 60, 2);
	put_digits(text + 17, second % 60, 2);
	text[19] = '.';
	put_digits(text + 20, time_us % 1000000, 6);
	text[26] = 'Z';
}

uint64_t time_text_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
