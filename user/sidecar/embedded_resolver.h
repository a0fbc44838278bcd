/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out whom Docker's embedded resolver asks. On networks that users define, an engine serves
 * 127.0.0.11 in the container's namespace. It knows the names of containers, and asks other
 * resolvers for the rest. Commonly it does so by packets of this namespace, which are steered. If
 * the host's own resolver is at a loopback address, the engine asks from the host's namespace.
 */
#ifndef SIDESTEP_EMBEDDED_RESOLVER_H
#define SIDESTEP_EMBEDDED_RESOLVER_H

#include "proxy/policy.h"

/*
 * Asks it for a random name below "invalid", for which the proxy alone has an answer under @policy.
 * Returns 0 if the proxy was asked, or if there is no such resolver. -EXDEV: somebody else was
 * asked, or nobody within half a second. Other negative errno: it could not be tried.
 */
int embedded_resolver_check(struct policy *policy);

#endif
