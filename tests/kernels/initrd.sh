#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the initial RAM disk for a kernel: busybox, init, and the modules to mount the host's file system.
#
#   tests/kernels/initrd.sh ROOT OUTPUT   ROOT is where the kernel's package is unpacked
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$1" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

version=$(ls "$root/lib/modules")
/sbin/depmod -b "$root" "$version"
for folder in bin modules memory machine root proc sys dev; do
	mkdir "$stage/$folder"
done
cp "$(command -v busybox)" "$stage/bin/busybox"
cp "$here/init" "$stage/init"
for name in virtio_pci 9pnet_virtio 9p overlay; do
	/sbin/modprobe -d "$root" -S "$version" --show-depends "$name"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
	module=$(basename "$file")
	case $module in
	*.xz) module=${module%.xz} && xz -dc "$file" >"$stage/modules/$module" ;;
	*.zst) module=${module%.zst} && zstd -qdc "$file" >"$stage/modules/$module" ;;
	*) cp "$file" "$stage/modules/$module" ;;
	esac
	printf '%s\n' "$module" >>"$stage/modules/order"
done
(cd "$stage" && find . | cpio --quiet -o -H newc | gzip -1) >"$2"
