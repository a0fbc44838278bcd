// SPDX-License-Identifier: Apache-2.0
#include "capture/pcapng.h"

#include <errno.h>
#include <string.h>

#include "lib/util.h"

/* draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 and 4.7 */
enum block_type {
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	BLOCK_SECRETS = 0xa,
	BLOCK_SECTION = 0x0a0d0d0a,
};

#define BYTE_ORDER_MAGIC    0x1a2b3c4d
#define LINKTYPE_ETHERNET   1
#define SECRETS_TLS_KEY_LOG 0x544c534b

enum option_code {
	OPTION_END = 0,
	OPTION_INTERFACE_NAME = 2, /* of an interface */
	OPTION_PROGRAM = 4,	   /* of a section */
	OPTION_RESOLUTION = 9,	   /* of an interface: times are in 10^-N s */
};

struct option_header {
	uint16_t code;
	uint16_t size; /* of the value, without padding */
};

/* The parts of a block's body. */
struct part {
	const void *data;
	size_t size;
};

static size_t padded(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

static void put(FILE *file, const void *data, size_t size)
{
	static const char zeros[4];

	(void)fwrite(data, 1, size, file);
	(void)fwrite(zeros, 1, padded(size) - size, file);
}

/* Each part is padded to 32 bits, as the format pads options, packets and secrets. */
static int put_block(FILE *file, uint32_t type, const struct part *parts, size_t count)
{
	uint32_t header[2] = {type, 12};
	size_t i;

	for (i = 0; i < count; i++)
		header[1] += (uint32_t)padded(parts[i].size);
	(void)fwrite(header, 1, sizeof(header), file);
	for (i = 0; i < count; i++)
		put(file, parts[i].data, parts[i].size);
	(void)fwrite(&header[1], 1, sizeof(header[1]), file);
	return ferror(file) ? -EIO : 0;
}

int pcapng_begin(FILE *file, const char *interface, const char *program)
{
	static const struct option_header end = {.code = OPTION_END};
	static const uint8_t nanoseconds = 9;
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		int64_t length; /* of the section, not known */
	} section = {BYTE_ORDER_MAGIC, 1, 0, -1};
	const struct {
		uint16_t link_type, reserved;
		uint32_t limit; /* none */
	} description = {.link_type = LINKTYPE_ETHERNET};
	const struct option_header program_header = {OPTION_PROGRAM, (uint16_t)strlen(program)};
	const struct option_header name_header = {OPTION_INTERFACE_NAME,
						  (uint16_t)strlen(interface)};
	const struct option_header resolution_header = {OPTION_RESOLUTION, sizeof(nanoseconds)};
	const struct part section_parts[] = {
		{&section, sizeof(section)},
		{&program_header, sizeof(program_header)},
		{program, program_header.size},
		{&end, sizeof(end)},
	};
	const struct part interface_parts[] = {
		{&description, sizeof(description)},
		{&name_header, sizeof(name_header)},
		{interface, name_header.size},
		{&resolution_header, sizeof(resolution_header)},
		{&nanoseconds, sizeof(nanoseconds)},
		{&end, sizeof(end)},
	};
	int error = put_block(file, BLOCK_SECTION, section_parts, ARRAY_SIZE(section_parts));

	return error < 0 ? error
			 : put_block(file, BLOCK_INTERFACE, interface_parts,
				     ARRAY_SIZE(interface_parts));
}

int pcapng_secrets(FILE *file, const char *lines, size_t size)
{
	const uint32_t header[] = {SECRETS_TLS_KEY_LOG, (uint32_t)size};
	const struct part parts[] = {{header, sizeof(header)}, {lines, size}};

	return put_block(file, BLOCK_SECRETS, parts, ARRAY_SIZE(parts));
}

int pcapng_packet(FILE *file, uint64_t time_ns, const void *packet, size_t size, size_t length)
{
	const uint32_t header[] = {
		0, /* the interface */
		(uint32_t)(time_ns >> 32),
		(uint32_t)time_ns,
		(uint32_t)size,
		(uint32_t)length,
	};
	const struct part parts[] = {{header, sizeof(header)}, {packet, size}};

	return put_block(file, BLOCK_PACKET, parts, ARRAY_SIZE(parts));
}
