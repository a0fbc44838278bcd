/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the relay has to know of DNS messages (RFC 1035 section 4), from hostile peers: the one
 * question of a query, whether a message answers it, and short answers of its own.
 */
#ifndef SIDESTEP_DNS_MESSAGE_H
#define SIDESTEP_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_SIZE 12
/* A name of 255 octets (RFC 1035 section 2.3.4), type and class. */
#define DNS_QUESTION_MAX (255 + 4)
/* Its name in text form, with the NUL: each octet becomes four characters at most. */
#define DNS_NAME_TEXT_MAX 1024
/* The largest that dns_answer_write() writes: the question, A, AAAA and OPT records. */
#define DNS_ANSWER_MAX (DNS_HEADER_SIZE + DNS_QUESTION_MAX + 16 + 28 + 11)

/* RFC 1035 section 4.1.1; DNS_BADVERS is RFC 6891 section 9. */
enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_BADVERS = 16,
};

/* What is kept of a query, to recognise its answer and to answer it. */
struct dns_question {
	uint16_t id;	/* host byte order, as the two below */
	uint16_t flags; /* the header's second word */
	uint16_t type;
	uint16_t class;
	bool edns; /* the query had an OPT record */
	bool edns_do;
	uint8_t edns_version;
	uint16_t size;			 /* of the question section; 0: it could not be read */
	uint8_t bytes[DNS_QUESTION_MAX]; /* as it came, letter case too */
};

/*
 * Reads a query. Returns
 *	0	it is one, with exactly one question
 *	rcode	DNS_FORMERR or DNS_NOTIMP (an opcode other than QUERY): what to answer it with; id
 *		and flags are set, size is 0
 *	-EBADMSG	not to be answered: no whole header, or itself an answer.
 * Records behind the question are walked, as the EDNS OPT record (RFC 6891) is among them, but not
 * understood; bytes behind the last are ignored. A compressed name in the question is refused:
 * there is nothing in front of it to point to.
 */
int dns_query_parse(const void *message, size_t size, struct dns_question *ret_question);

/*
 * The question's name as text, without a dot at the end; the root is "". Letters, digits, '-' and
 * '_' stand for themselves, any other octet is written \DDD (RFC 1035 section 5.1), so that each
 * dot is a border of labels and no octet of a name has a meaning to a glob.
 */
void dns_question_name(const struct dns_question *question, char text[DNS_NAME_TEXT_MAX]);

/*
 * Is this an answer to that question? Its ID is not compared. Resolvers that could not read the
 * question may leave it out of an error, but not of NXDOMAIN. Letter case does not matter: to
 * insist on it (draft-vixie-dnsext-dns0x20) is the client's business, which sees it unchanged.
 */
bool dns_answers(const void *message, size_t size, const struct dns_question *question);

/* The ID and the lower four bits of the response code of a message with a whole header. */
uint16_t dns_id(const void *message);
enum dns_rcode dns_rcode(const void *message);
void dns_set_id(void *message, uint16_t id);

/*
 * Writes an answer without records; its size is returned. Authoritative (AA) when it says that a
 * name does not exist, recursion not available (RA). RD and CD are the query's; the question is
 * copied byte for byte. Has an OPT record when and only when the query had one; a query of an EDNS
 * version that does not exist yet gets BADVERS (RFC 6891 section 6.1.3), whatever @rcode says.
 */
size_t dns_error_write(const struct dns_question *question, enum dns_rcode rcode,
		       uint8_t message[DNS_ANSWER_MAX]);

/* The same with NOERROR, AA and the addresses that stand for a name which the gateway will know:
 * A 11.0.0.1, AAAA fd00::1, for ANY both, for other types and classes none. TTL 60. */
size_t dns_made_up_write(const struct dns_question *question, uint8_t message[DNS_ANSWER_MAX]);

#endif
