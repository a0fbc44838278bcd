/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses how many threads the proxy runs. */
#ifndef SIDESTEP_SIDECAR_THREADS_H
#define SIDESTEP_SIDECAR_THREADS_H

/*
 * Returns the number of threads, at least 1. @asked: by --threads; 0: one for each of @processors,
 * at most 8. The proxy's own sockets take at most half of @descriptors (RLIMIT_NOFILE), and the
 * rest is for connections.
 */
unsigned int sidecar_threads_choose(unsigned int asked, unsigned int processors,
				    unsigned long descriptors);

/* The same for this process. It logs when there are fewer for want of descriptors. */
unsigned int sidecar_threads(unsigned int asked);

#endif
