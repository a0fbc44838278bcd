/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference gateway, the other end of the proxy's tunnels: an HTTP/1.1 CONNECT proxy (RFC 9110
 * section 9.3.6) for development and tests. It answers as workerd does. One thread.
 */
#ifndef SIDESTEP_GATEWAY_H
#define SIDESTEP_GATEWAY_H

#include "gateway/gateway_config.h"

/*
 * Runs until SIGTERM or SIGINT arrives in the calling thread, or stop_fd is readable. Both signals
 * are blocked meanwhile. Open tunnels are reset at the end.
 *
 * A target that refuses the connection is answered 400, an unreachable one 502, a bad request 400.
 * Returns 0 or negative errno, logged.
 */
int gateway_run(const struct gateway_config *config);

#endif
