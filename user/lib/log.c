// SPDX-License-Identifier: Apache-2.0
#include "lib/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level log_limit = LOG_INFO;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_limit = level;
}

bool log_enabled(enum log_level level)
{
	return level <= log_limit;
}

static void __attribute__((format(printf, 3, 0)))
log_line(enum log_level level, const char *reason, const char *format, va_list arguments)
{
	char line[1024];
	size_t length;
	int saved = errno;

	length = (size_t)snprintf(line, sizeof(line), "sidestep: %s: ", level_names[level]);
	(void)vsnprintf(line + length, sizeof(line) - length, format, arguments);
	length = strlen(line);
	if (reason)
		(void)snprintf(line + length, sizeof(line) - length, ": %s", reason);
	length = strnlen(line, sizeof(line) - 2);
	line[length++] = '\n';
	/* A failure to report cannot be reported. */
	(void)!write(STDERR_FILENO, line, length);
	errno = saved;
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list arguments;

	if (!log_enabled(level))
		return;
	va_start(arguments, format);
	log_line(level, NULL, format, arguments);
	va_end(arguments);
}

int log_errno(int error, const char *format, ...)
{
	va_list arguments;
	char text[128];

	va_start(arguments, format);
	log_line(LOG_ERROR, strerror_r(-error, text, sizeof(text)), format, arguments);
	va_end(arguments);
	return error;
}
