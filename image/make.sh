#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image/make.sh ARCHITECTURE - builds the program and the image (image/build.sh) for amd64 or arm64, on either.
# For the other architecture it uses a cross compiler and Debian's libraries. The image is written to
# build/image, or to build/ARCHITECTURE/image.
set -eu

architecture=$1
cd "$(dirname "$0")/.."
if [ "$architecture" = "$(dpkg --print-architecture)" ]; then
	exec make -s image-tree "IMAGE_ARCH=$architecture"
fi
case $architecture in
arm64) triplet=aarch64-linux-gnu target=arm64 ;;
amd64) triplet=x86_64-linux-gnu target=x86 ;;
*)
	echo "image: unknown architecture '$architecture'; there are: amd64 arm64" >&2
	exit 1
	;;
esac
SYSROOT=$(tests/deps.sh "sysroot-$architecture")
export SYSROOT
export READELF="$triplet-readelf" STRIP="$triplet-strip"
exec make -s image-tree "IMAGE_ARCH=$architecture" "BUILD=build/$architecture" "ARCH=$target" \
	"CC=$triplet-gcc --sysroot=$SYSROOT" "AR=$triplet-ar"
