#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints vmlinux.h for the running kernel, trimmed to the types that the programs use (`make vmlinux`).
set -eu

here=$(dirname "$0")
# These are the types that bpf/ names, and those that the helpers' prototypes need complete. All are
# of the stable user-space ABI. Their layout is fixed, so nothing is relocated (CO-RE).
roots="__be16,__be32,__s64,__wsum,__sum16,bool,enum bpf_map_type,enum sk_action,struct __sk_buff"
roots="$roots,struct bpf_sk_lookup,struct bpf_sock,struct iphdr,struct ipv6hdr"
roots="$roots,struct bpf_redir_neigh,struct bpf_sock_tuple,struct bpf_spin_lock"
roots="$roots,struct bpf_tcp_sock"

full=$(mktemp)
trap 'rm -f "$full"' EXIT
"${BPFTOOL:-bpftool}" btf dump file /sys/kernel/btf/vmlinux format c > "$full"

cat <<EOF
/* vmlinux.h: from the BTF of Linux $(uname -r), trimmed by \`make vmlinux\`. */
/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#define NULL ((void *)0)

EOF
awk -v roots="$roots" -f "$here/vmlinux-trim.awk" "$full" "$full"
cat <<EOF
#endif
EOF
