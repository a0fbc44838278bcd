// SPDX-License-Identifier: Apache-2.0
/* Serves the commands that build packets: checksums, and the way to the next hop. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "peer.h"

uint32_t sum_add(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *byte = data;

	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? byte[i] : (uint32_t)byte[i] << 8;
	return sum;
}

uint16_t sum_end(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

bool gateway_of(const char *device, struct in_addr *gateway)
{
	FILE *file = fopen("/proc/net/route", "re");
	char line[256], name[IFNAMSIZ];
	unsigned int to, via;
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line, "%15s %x %x", name, &to, &via) == 3 && to == 0 &&
		    strcmp(name, device) == 0) {
			gateway->s_addr = via;
			found = true;
		}
	if (file)
		fclose(file);
	return found;
}

int mac_of(struct in_addr gateway, const char *device, int64_t deadline_us, uint8_t mac[6])
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = gateway, .sin_port = htons(9)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int error = -ETIMEDOUT;

	if (fd < 0)
		return -errno;
	while (error && !stop_requested && now_us() < deadline_us) {
		struct arpreq request = {0};

		memcpy(&request.arp_pa, &to, sizeof(to));
		snprintf(request.arp_dev, sizeof(request.arp_dev), "%s", device);
		if (ioctl(fd, SIOCGARP, &request) == 0 && request.arp_flags & ATF_COM) {
			memcpy(mac, request.arp_ha.sa_data, 6);
			error = 0;
		} else {
			(void)sendto(fd, "", 0, 0, (void *)&to, sizeof(to));
			(void)poll(NULL, 0, 20);
		}
	}
	close(fd);
	return error;
}

int report_sent(const char *phase, long sent, long count, int error)
{
	printf("result=%s phase=%s sent=%ld\n", error_word(error), phase, sent);
	return error != 0 || sent != count;
}
