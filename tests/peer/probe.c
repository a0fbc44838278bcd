// SPDX-License-Identifier: Apache-2.0
/* Tests the rights that decide which datapath a container can have. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/if_tun.h>

#include "peer.h"

static int bpf(int command, union bpf_attr *attributes)
{
	long fd = syscall(SYS_bpf, command, attributes, sizeof(*attributes));

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

static int probe_map(void)
{
	union bpf_attr attributes = {.map_type = BPF_MAP_TYPE_LPM_TRIE,
				     .key_size = 8,
				     .value_size = 4,
				     .max_entries = 4,
				     .map_flags = BPF_F_NO_PREALLOC};

	return bpf(BPF_MAP_CREATE, &attributes);
}

static int probe_program(uint32_t type, uint32_t attach)
{
	const struct bpf_insn program[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attributes = {.prog_type = type,
				     .insn_cnt = 2,
				     .expected_attach_type = attach,
				     .insns = (uintptr_t)program,
				     .license = (uintptr_t) "GPL"};

	return bpf(BPF_PROG_LOAD, &attributes);
}

static int probe_tun(const char *path)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int fd = open(path, O_RDWR | O_CLOEXEC), error = 0;

	if (fd < 0)
		return errno;
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		error = errno;
	close(fd);
	return error;
}

static int probe_mknod(char *path, size_t size)
{
	snprintf(path, size, "/dev/peer-tun-%d", (int)getpid());
	return mknod(path, S_IFCHR | 0600, makedev(10, 200)) < 0 ? errno : 0;
}

static int probe_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int probe_socket(int family, int type, int protocol)
{
	int fd = socket(family, type, protocol);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int probe_transparent(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, error = 0;

	if (fd < 0)
		return errno;
	if (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* Mounts a bpffs on a folder of our own and unmounts it at once. */
static int probe_bpffs(void)
{
	char path[64];
	int error = 0;

	snprintf(path, sizeof(path), "/tmp/peer-bpffs-%d", (int)getpid());
	if (mkdir("/tmp", 01777) < 0 && errno != EEXIST)
		return errno;
	if (mkdir(path, 0700) < 0)
		return errno;
	if (mount("bpf", path, "bpf", 0, NULL) < 0)
		error = errno;
	else
		(void)umount2(path, MNT_DETACH);
	rmdir(path);
	return error;
}

static void print_capabilities(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256], value[64];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %63s", value) == 1)
			printf(" cap_eff=%s", value);
		if (sscanf(line, "Seccomp: %63s", value) == 1)
			printf(" seccomp=%s", value);
	}
	if (file)
		fclose(file);
}

/* Prints name=ok or name=ERRNO. */
int command_probe(const struct options *options)
{
	char node[64];
	int error;

	if (options->arg_count)
		return 2;
	printf("bpf_map=%s", error_word(probe_map()));
	printf(" bpf_sk_lookup=%s",
	       error_word(probe_program(BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP)));
	printf(" bpf_tc=%s", error_word(probe_program(BPF_PROG_TYPE_SCHED_CLS, 0)));
	printf(" bpffs_mount=%s", error_word(probe_bpffs()));
	printf(" bpffs_dir=%s", error_word(access("/sys/fs/bpf", W_OK) < 0 ? errno : 0));
	printf(" tun=%s", error_word(probe_tun("/dev/net/tun")));
	error = probe_mknod(node, sizeof(node));
	printf(" mknod=%s", error_word(error));
	if (!error)
		printf(" mknod_tun=%s", error_word(probe_tun(node)));
	(void)unlink(node);
	printf(" sysctl_write=%s", error_word(probe_write("/proc/sys/net/ipv4/ip_forward")));
	printf(" raw=%s", error_word(probe_socket(AF_INET, SOCK_RAW, IPPROTO_RAW)));
	printf(" packet=%s", error_word(probe_socket(AF_PACKET, SOCK_DGRAM, 0)));
	printf(" transparent=%s", error_word(probe_transparent()));
	printf(" io_uring=%s", error_word(syscall(SYS_io_uring_setup, 0, NULL) < 0 &&
							  errno != EINVAL && errno != EFAULT
						  ? errno
						  : 0));
	print_capabilities();
	putchar('\n');
	return 0;
}
