/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lets somebody else see what interception opens: the secrets of the application's TLS, and the
 * plaintext of both directions. All callbacks may be called from any worker thread, and never wait.
 */
#ifndef SIDESTEP_TLS_TAP_H
#define SIDESTEP_TLS_TAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum tls_tap_direction {
	TLS_TAP_FROM_APPLICATION,
	TLS_TAP_TO_APPLICATION,
};

struct tls_tap {
	void *context;
	/* A connection whose TLS ends here has opened. @name is the certificate's. Returns a number
	 * for the calls below, or 0: nobody looks. */
	uint64_t (*open)(void *context, const struct sockaddr_storage *source,
			 const struct sockaddr_storage *destination, const char *name);
	/* A line of a key log file (SSL_CTX_set_keylog_callback(3)), without its end. It comes
	 * before the packets that it opens are sent. */
	void (*secret)(void *context, const char *line);
	void (*data)(void *context, uint64_t id, enum tls_tap_direction direction, const char *data,
		     size_t size);
	void (*close)(void *context, uint64_t id);
};

#endif
