#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tests/kernels/initrd.sh ROOT OUTPUT - writes the initial RAM disk for the kernel that is unpacked in
# ROOT: busybox, init, and the modules by which it reaches the machine's file system.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$1" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# Newer packages have their modules below /usr, where everything looks for /lib.
[ -e "$root/lib" ] || ln -s usr/lib "$root/lib"
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
