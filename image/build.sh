#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# image/build.sh ARCHITECTURE - writes the container image, without Docker, root or a network:
#
#   $BUILD/image/rootfs        its files, from which the top-level Dockerfile builds
#   $BUILD/image/sidestep.spdx.json  names its parts (deploy/sbom.sh)
#   $BUILD/image/sidestep.tar  for `docker load`, `podman load`, `ctr image import`, and skopeo's docker-archive:
#
# ARCHITECTURE is Debian's name (amd64, arm64). $BUILD/sidestep is the program (Makefile). Libraries and cp
# come from below $SYSROOT, or from this machine if that is empty. The same inputs give the same bytes: names
# are sorted, owners are 0, and all times are $SOURCE_DATE_EPOCH (default: that of the last commit).
#
# The ways to link were compared on Debian 12, amd64. Sizes are those of the whole image after gzip -9. Times
# are those of `sidestep version`, where /bin/true takes 0.8 ms:
#
#   with libcurl                             9.4 MB   6.4 ms   it brings Kerberos, LDAP and GnuTLS
#   shared objects for everything            4.8 MB   2.4 ms
#   archives, wherever Debian has them       4.4 MB   1.4 ms   chosen
#   all static                               -        -        libmnl has no archive
#
# The archives are those of libbpf, libelf, zlib, jansson, libcap, libseccomp, OpenSSL, libnftnl, libarchive and
# ncurses. LICENSE.md says under which licence the result may be passed on.
set -eu

architecture=$1
: "${BUILD:=build}" "${SYSROOT:=}" "${READELF:=readelf}" "${STRIP:=strip}"
cd "$(dirname "$0")/.."
out=$BUILD/image
root=$out/rootfs
version=$(cat VERSION)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export LC_ALL=C
umask 022

die() {
	printf 'image: %s\n' "$*" >&2
	exit 1
}

needed() {
	"$READELF" -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'
}

# find_library SONAME - prints its path.
find_library() {
	for folder in "$SYSROOT/usr/lib/$multiarch" "$SYSROOT/lib/$multiarch"; do
		[ ! -e "$folder/$1" ] || {
			printf '%s\n' "$folder/$1"
			return
		}
	done
	die "no $1 for $architecture below ${SYSROOT:-/}usr/lib/$multiarch; run: tests/deps.sh image"
}

# add_library SONAME - adds the library and those that it needs, where the image's loader looks first.
add_library() {
	case $1 in ld-linux*) return ;; esac
	[ ! -e "$root/lib/$multiarch/$1" ] || return 0
	file=$(find_library "$1")
	install -D -m 644 "$file" "$root/lib/$multiarch/$1"
	add_licence "$(printf '%s' "$1" | sed 's/\([0-9]\)\.so\./\1-/; s/\.so\.//')"
	add_libraries "$root/lib/$multiarch/$1"
}

# add_libraries FILE - adds the libraries that the file needs.
add_libraries() {
	for name in $(needed "$1"); do
		add_library "$name"
	done
}

# add_licence PACKAGE - adds Debian's licence text. A library's package has the name of its soname, with a
# suffix where the size of time_t has changed.
add_licence() {
	for file in "$SYSROOT/usr/share/doc/$1"*/copyright; do
		if [ -e "$file" ]; then
			install -D -m 644 "$file" "$root/usr/share/doc/$1/copyright"
			return
		fi
	done
	printf 'image: no licence text of %s on this machine\n' "$1" >&2
}

case $architecture in
amd64) multiarch=x86_64-linux-gnu ;;
arm64) multiarch=aarch64-linux-gnu ;;
*) die "unknown architecture '$architecture'; there are: amd64 arm64" ;;
esac

rm -rf "$out/rootfs" "$out/layout" "$out/sidestep.tar"
mkdir -p "$root/usr/bin" "$root/bin" "$root/etc" "$root/ca" "$root/run" "$root/lib/$multiarch"
mkdir -m 1777 "$root/tmp"
"$STRIP" -o "$root/usr/bin/sidestep" "$BUILD/sidestep"
chmod 755 "$root/usr/bin/sidestep"
loader=$("$READELF" -lW "$root/usr/bin/sidestep" |
	sed -n 's/.*Requesting program interpreter: \(.*\)\]$/\1/p')
install -D -m 755 "$(find_library "${loader##*/}")" "$root$loader"
add_libraries "$root/usr/bin/sidestep"

# workerd runs the image with /bin/cp -a for snapshots of directories. GNU's cp keeps everything. Busybox's is
# twice the size, cuts times to seconds, and drops extended attributes and the times of links.
install -m 755 "$SYSROOT/bin/cp" "$root/bin/cp"
add_libraries "$root/bin/cp"
# `sidestep top` needs the descriptions of terminals, which are the same on all architectures.
for terminal in x/xterm x/xterm-256color l/linux s/screen s/screen-256color t/tmux t/tmux-256color v/vt100; do
	for folder in /lib/terminfo /usr/share/terminfo; do
		[ ! -e "$folder/$terminal" ] ||
			install -D -m 644 "$folder/$terminal" "$root/usr/share/terminfo/$terminal"
	done
done
install -D -m 644 -t "$root/usr/share/doc/sidestep" LICENSE.md
install -D -m 644 -t "$root/usr/share/doc/sidestep/LICENSES" LICENSES/*.txt
for package in coreutils libbpf-dev libelf-dev zlib1g-dev libzstd-dev libjansson-dev libcap-dev \
	libseccomp-dev libssl-dev libnftnl-dev libncurses-dev libarchive-dev; do
	add_licence "$package"
done
# llhttp is compiled from its source, or linked where the distribution packages a library (Makefile).
if [ -e /usr/share/llhttp ]; then
	SYSROOT='' add_licence node-llhttp
else
	add_licence libllhttp-dev
fi

# An SPDX document names the parts.
parts=$(cd "$root/usr/share/doc" && for name in *; do [ "$name" = sidestep ] || printf '%s ' "$name"; done)
# shellcheck disable=SC2086 # a list of words
BUILD=$BUILD SYSROOT=$SYSROOT SOURCE_DATE_EPOCH=$epoch deploy/sbom.sh spdx sidestep-image "$architecture" \
	"$root/usr/bin/sidestep" $parts >"$out/sidestep.spdx.json"
install -m 644 -t "$root/usr/share/doc/sidestep" "$out/sidestep.spdx.json"

# The layer comes with its configuration (https://github.com/opencontainers/image-spec, config.md), and with
# manifest.json, which names both. There is no index.json on purpose: loaders prefer it, and each of them makes
# another name of its annotations.
blobs=$out/layout/blobs/sha256
mkdir -p "$blobs"
pack() {
	tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=ustar "$@"
}
# blob FILE - files the file under its digest, and prints the digest.
blob() {
	digest=$(sha256sum "$1" | cut -d' ' -f1)
	mv "$1" "$blobs/$digest"
	printf '%s' "$digest"
}

pack -C "$root" -cf "$out/layer.tar" .
diff_id=$(sha256sum "$out/layer.tar" | cut -d' ' -f1)
gzip -9 -n -f "$out/layer.tar"
layer=$(blob "$out/layer.tar.gz")

# The health check is the sidecar's. Docker 25 and newer ask every 0.25 s until the first success.
revision=$(git rev-parse HEAD 2>/dev/null || true)
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision=
created=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)
cat >"$out/config.json" <<-CONFIG
	{
	  "created": "$created",
	  "architecture": "$architecture",
	  "os": "linux",
	  "config": {
	    "Env": ["PATH=/usr/bin:/bin"],
	    "Entrypoint": ["/usr/bin/sidestep"],
	    "WorkingDir": "/",
	    "Healthcheck": {
	      "Test": ["CMD", "/usr/bin/sidestep", "ready"],
	      "Interval": 5000000000, "Timeout": 5000000000, "StartPeriod": 30000000000,
	      "StartInterval": 250000000, "Retries": 2
	    },
	    "Labels": {
	      "dev.sidestep.role": "sidecar",
	      "org.opencontainers.image.title": "sidestep",
	      "org.opencontainers.image.version": "$version",
	      ${revision:+\"org.opencontainers.image.revision\": \"$revision\",}
	      "org.opencontainers.image.created": "$created"
	    }
	  },
	  "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
	  "history": [{"created": "$created", "created_by": "image/build.sh"}]
	}
CONFIG
config=$(blob "$out/config.json")
printf '[{"Config":"blobs/sha256/%s","RepoTags":["sidestep:%s","sidestep:latest"],"Layers":["blobs/sha256/%s"]}]' \
	"$config" "$version" "$layer" >"$out/layout/manifest.json"
pack -C "$out/layout" -cf "$out/sidestep.tar" blobs manifest.json
rm -rf "$out/layout"
printf 'image: %s, %d bytes, %s\n' "$out/sidestep.tar" "$(wc -c <"$out/sidestep.tar")" "$architecture"
