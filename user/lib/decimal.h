/* SPDX-License-Identifier: Apache-2.0 */
/* Writes numbers where snprintf() would take most of the time: in each request and each event. */
#ifndef SIDESTEP_DECIMAL_H
#define SIDESTEP_DECIMAL_H

#include <stdint.h>
#include <string.h>

/* The most digits of a number. */
#define DECIMAL_MAX 20

/* Writes at most DECIMAL_MAX digits, and no NUL. Returns their end. */
static inline char *decimal_write(char *at, uint64_t number)
{
	char digits[DECIMAL_MAX];
	size_t used = 0;

	do {
		digits[sizeof(digits) - ++used] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return mempcpy(at, digits + sizeof(digits) - used, used);
}

#endif
