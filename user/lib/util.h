/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases file descriptors and memory at the end of a scope, and hands them over visibly.
 *
 *	_cleanup_close_ int fd = open(...);
 *	...
 *	*ret_fd = TAKE_FD(fd);		// the caller owns it now
 */
#ifndef SIDESTEP_UTIL_H
#define SIDESTEP_UTIL_H

#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Closes @fd unless it is negative. Keeps errno. Always returns -1, for fd = safe_close(fd). */
static inline int safe_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_close(int *fd)
{
	*fd = safe_close(*fd);
}

static inline void cleanup_free(void *memory)
{
	free(*(void **)memory);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

static inline void cleanup_closedir(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

#define _cleanup_(function) __attribute__((cleanup(function)))
#define _cleanup_close_	    _cleanup_(cleanup_close)
#define _cleanup_free_	    _cleanup_(cleanup_free)
#define _cleanup_fclose_    _cleanup_(cleanup_fclose)
#define _cleanup_closedir_  _cleanup_(cleanup_closedir)

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *taken_fd = &(fd);                                                             \
		int value_fd = *taken_fd;                                                          \
		*taken_fd = -1;                                                                    \
		value_fd;                                                                          \
	})

#define TAKE_PTR(pointer)                                                                          \
	({                                                                                         \
		__typeof__(pointer) *taken_ptr = &(pointer);                                       \
		__typeof__(pointer) value_ptr = *taken_ptr;                                        \
		*taken_ptr = NULL;                                                                 \
		value_ptr;                                                                         \
	})

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* The structure of @type that holds what @pointer points to as its @member. */
#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
