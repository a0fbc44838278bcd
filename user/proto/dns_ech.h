/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes Encrypted Client Hello out of DNS answers. HTTPS and SVCB records (RFC 9460) may have the
 * parameter `ech`. A client that finds it hides the server name in its ClientHello, and shows one
 * that many servers share. A gateway that decides by name then decides by the wrong one.
 */
#ifndef SIDESTEP_DNS_ECH_H
#define SIDESTEP_DNS_ECH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Replaces `ech` in each such record of @message, in every section. The message keeps its size, so
 * compressed names stay right. The parameter gets a key for private use, which clients ignore, and
 * a value of zeros. If `mandatory` lists `ech`, it lists that key instead, and clients ignore the
 * record. AD is cleared, because no signature fits any more. Returns whether there was one. A
 * message that is not whole is changed as far as it can be read.
 */
bool dns_ech_remove(void *message, size_t size);

#endif
