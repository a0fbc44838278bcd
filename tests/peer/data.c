// SPDX-License-Identifier: Apache-2.0
/* Bytes that both ends can compute, digests, and counts by kind. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* splitmix64 computes any word of the stream without the ones before it. */
static uint64_t data_word(uint64_t seed, uint64_t index)
{
	uint64_t word = seed * 0xd1342543de82ef95u + (index + 1) * 0x9e3779b97f4a7c15u;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9u;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebu;
	return word ^ (word >> 31);
}

void data_fill(uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset)
{
	while (size > 0) {
		uint64_t word = data_word(seed, offset / 8);
		size_t skip = offset % 8;
		size_t take = size < 8 - skip ? size : 8 - skip;

		memcpy(buffer, (uint8_t *)&word + skip, take);
		buffer += take;
		offset += take;
		size -= take;
	}
}

bool data_matches(const uint8_t *buffer, size_t size, uint64_t seed, uint64_t offset)
{
	uint8_t want[4096];

	while (size > 0) {
		size_t take = size < sizeof(want) ? size : sizeof(want);

		data_fill(want, take, seed, offset);
		if (memcmp(buffer, want, take) != 0)
			return false;
		buffer += take;
		offset += take;
		size -= take;
	}
	return true;
}

struct digest {
	EVP_MD_CTX *context;
};

void digest_add(struct digest **digest, const void *data, size_t size)
{
	if (!*digest) {
		*digest = calloc(1, sizeof(**digest));
		if (!*digest || !((*digest)->context = EVP_MD_CTX_new()) ||
		    EVP_DigestInit_ex((*digest)->context, EVP_sha256(), NULL) != 1)
			abort();
	}
	if (EVP_DigestUpdate((*digest)->context, data, size) != 1)
		abort();
}

void digest_end(struct digest **digest, char text[DIGEST_TEXT])
{
	uint8_t value[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	if (!*digest)
		digest_add(digest, "", 0);
	if (EVP_DigestFinal_ex((*digest)->context, value, &size) != 1)
		abort();
	EVP_MD_CTX_free((*digest)->context);
	free(*digest);
	*digest = NULL;
	for (unsigned int i = 0; i < size && i < 32; i++)
		snprintf(text + (size_t)i * 2, 3, "%02x", value[i]);
}

void data_digest(uint64_t seed, uint64_t size, char text[DIGEST_TEXT])
{
	struct digest *digest = NULL;
	uint8_t buffer[16384];

	for (uint64_t offset = 0; offset < size;) {
		size_t take = size - offset < sizeof(buffer) ? size - offset : sizeof(buffer);

		data_fill(buffer, take, seed, offset);
		digest_add(&digest, buffer, take);
		offset += take;
	}
	digest_end(&digest, text);
}

void tally_add(struct tally *tally, const char *word)
{
	struct tally one = {.kinds = {{word, 1}}};

	tally_merge(tally, &one);
}

void tally_merge(struct tally *into, const struct tally *from)
{
	const size_t kinds = sizeof(into->kinds) / sizeof(into->kinds[0]);

	for (size_t i = 0; i < kinds && from->kinds[i].word; i++) {
		size_t slot = 0;

		while (slot < kinds - 1 && into->kinds[slot].word &&
		       strcmp(into->kinds[slot].word, from->kinds[i].word) != 0)
			slot++;
		if (!into->kinds[slot].word)
			into->kinds[slot].word = slot == kinds - 1 ? "other" : from->kinds[i].word;
		into->kinds[slot].count += from->kinds[i].count;
	}
}

void tally_print(const struct tally *tally)
{
	for (size_t i = 0; i < sizeof(tally->kinds) / sizeof(tally->kinds[0]); i++)
		if (tally->kinds[i].word)
			printf(" %s=%lu", tally->kinds[i].word, tally->kinds[i].count);
}
