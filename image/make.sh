#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image/make.sh ARCHITECTURE [TARGET...] - builds the program and the image (image/build.sh) for amd64 or arm64, on
# either. For the other architecture it uses a cross compiler and Debian's libraries. The image is written to
# build/image, or to build/ARCHITECTURE/image. With the target deb-tree it builds the Debian package instead.
set -eu

architecture=$1
shift
[ $# -gt 0 ] || set -- image-tree
cd "$(dirname "$0")/.."
if [ "$architecture" = "$(dpkg --print-architecture)" ]; then
	exec make -s "$@" "IMAGE_ARCH=$architecture" "DEB_ARCH=$architecture"
fi
case $architecture in
arm64) triplet=aarch64-linux-gnu kernel=arm64 ;;
amd64) triplet=x86_64-linux-gnu kernel=x86 ;;
*)
	echo "image: unknown architecture '$architecture'; there are: amd64 arm64" >&2
	exit 1
	;;
esac
SYSROOT=$(tests/deps.sh "sysroot-$architecture")
export SYSROOT
export READELF="$triplet-readelf" STRIP="$triplet-strip"
exec make -s "$@" "IMAGE_ARCH=$architecture" "DEB_ARCH=$architecture" "BUILD=build/$architecture" \
	"ARCH=$kernel" "CC=$triplet-gcc --sysroot=$SYSROOT" "AR=$triplet-ar"
