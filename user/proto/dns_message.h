/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads and writes DNS messages (RFC 1035 section 4), as far as the relay needs it. Peers are
 * hostile. It reads the one question of a query, tells whether a message answers it, and writes
 * short answers.
 */
#ifndef SIDESTEP_DNS_MESSAGE_H
#define SIDESTEP_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_SIZE 12
/* A name of 255 octets (RFC 1035 section 2.3.4), type and class. */
#define DNS_QUESTION_MAX (255 + 4)
/* Its name in text form, with the NUL. Each octet becomes at most four characters. */
#define DNS_NAME_TEXT_MAX 1024
/* The largest answer that is written here: the question and one A, AAAA and OPT record. */
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

/* The parts of a query that are kept, to recognise its answer and to answer it. */
struct dns_question {
	uint16_t id;	/* host byte order, also in the fields below */
	uint16_t flags; /* the header's second word */
	uint16_t type;
	uint16_t class;
	bool edns; /* the query had an OPT record */
	bool edns_do;
	uint8_t edns_version;
	uint16_t size;			 /* of the question section; 0: unreadable */
	uint8_t bytes[DNS_QUESTION_MAX]; /* as received, with its letter case */
};

/*
 * Reads a query. Returns
 *	0	a query with exactly one question
 *	DNS_NOTIMP	an opcode other than QUERY; it can be relayed, or answered so
 *	DNS_FORMERR	answer it so
 *	-EBADMSG	do not answer it: the header is incomplete, or it is an answer itself.
 *
 * With an rcode id and flags are set, and size is 0.
 *
 * The records behind the question are walked to find the EDNS OPT record (RFC 6891). Bytes behind
 * the last one are ignored. A compressed name in the question is refused, because it has nothing in
 * front of it to point to.
 */
int dns_query_parse(const void *message, size_t size, struct dns_question *ret_question);

/* Reads the question of an answer, likewise, so that another answer to it can be written. */
int dns_answer_question(const void *message, size_t size, struct dns_question *ret_question);

/* Tells whether a query may begin with these @header octets, of which there are six. Other
 * protocols have text there. */
bool dns_begins_query(const uint8_t header[6]);

/*
 * Writes the question's name as text, without a dot at the end; the root is "". Letters, digits,
 * '-' and '_' stand for themselves. Any other octet is written \DDD (RFC 1035 section 5.1). So each
 * dot separates labels, and no octet of a name has a meaning to a glob.
 */
void dns_question_name(const struct dns_question *question, char text[DNS_NAME_TEXT_MAX]);

/*
 * Tells whether this is an answer to that question, without comparing the ID. A resolver that could
 * not read the question may omit it from an error, but not from NXDOMAIN. With an opcode other than
 * QUERY only the opcode is compared, because the other parts' meaning depends on it.
 *
 * Letter case does not matter. The client sees it unchanged, and may insist on it itself
 * (draft-vixie-dnsext-dns0x20).
 */
bool dns_answers(const void *message, size_t size, const struct dns_question *question);

/* Tells whether the answer has addresses, or what a client needs to use them (A, AAAA, ANY, SVCB,
 * HTTPS). */
bool dns_question_for_addresses(const struct dns_question *question);

/* Writes a query for the records of @name of that type. The name has whole labels of at most 63
 * octets, and at most 253 in all. Returns the query's size, of DNS_HEADER_SIZE + DNS_QUESTION_MAX
 * at most. */
size_t dns_query_write(uint16_t id, const char *name, uint16_t type, uint8_t *message);

/*
 * Stores at most @max addresses that a message gives in answer to @question (A or AAAA), as in
 * lib/address.h. Returns their number. Made-up ones are left out, because they lead nowhere. The
 * records' names are not compared, as the resolver is asked for nothing else.
 */
size_t dns_addresses(const void *message, size_t size, const struct dns_question *question,
		     uint8_t (*ret_addresses)[16], size_t max);

/* Tells whether it is an answer with the made-up address (A) alone. */
bool dns_is_made_up(const void *message, size_t size);

/* The ID and the lower four bits of the response code. The header of @message must be complete. */
uint16_t dns_id(const void *message);
enum dns_rcode dns_rcode(const void *message);
void dns_set_id(void *message, uint16_t id);

/*
 * Writes an answer without records and returns its size. NXDOMAIN is authoritative (AA). Recursion
 * is not available (RA). RD and CD are those of the query, and the question is copied byte for
 * byte.
 *
 * The answer has an OPT record if the query had one. A query of an unknown EDNS version gets
 * BADVERS (RFC 6891 section 6.1.3), whatever @rcode says.
 */
size_t dns_error_write(const struct dns_question *question, enum dns_rcode rcode,
		       uint8_t message[DNS_ANSWER_MAX]);

/* The same with NOERROR, AA and placeholder addresses, for a name that only the gateway resolves. A
 * is 11.0.0.1 and AAAA is fd00::1. ANY gets both, other types and classes none. TTL 60 s. */
size_t dns_made_up_write(const struct dns_question *question, uint8_t message[DNS_ANSWER_MAX]);

/* Returns the addresses in an answer that dns_made_up_write() or dns_error_write() wrote, with a
 * space between them. NULL: there is none. */
const char *dns_made_up_text(const struct dns_question *question, const uint8_t *message);

#endif
