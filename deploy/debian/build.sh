#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# deploy/debian/build.sh ARCHITECTURE - writes $BUILD/deb/sidestep_VERSION_ARCHITECTURE.deb for Debian 12 and newer,
# without root or a network, from what `make install` installs.
#
# dpkg-deb alone makes the package. A folder debian/ for debhelper would have to stand at the top of the tree. It
# would also build the program by another way than the image and the tests.
# ARCHITECTURE is Debian's name (amd64, arm64). The same inputs give the same bytes: owners are root, and times
# are $SOURCE_DATE_EPOCH (default: that of the last commit). DEB_VERSION is the package's version, by default
# the program's. DEB_OUT is the folder of the package, by default $BUILD/deb.
set -eu

architecture=$1
: "${BUILD:=build}" "${SYSROOT:=}" "${READELF:=readelf}" "${STRIP:=strip}" "${MAKE:=make}"
here=deploy/debian
cd "$(dirname "$0")/../.."
out=${DEB_OUT:-$BUILD/deb}
root=$out/root
version=${DEB_VERSION:-$(cat VERSION)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
export BUILD SYSROOT SOURCE_DATE_EPOCH LC_ALL=C
umask 022

# depends - prints the packages of the shared libraries. The C library's symbols tell its oldest version.
depends() {
	for name in $("$READELF" -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
		case $name in
		ld-linux*) continue ;;
		libc.so.6)
			printf 'libc6 (>= %s), ' "$("$READELF" -VW "$1" | grep -o 'GLIBC_[0-9.]*' |
				sed 's/GLIBC_//' | sort -uV | tail -n 1)"
			;;
		*) printf '%s, ' "$(printf '%s' "$name" | sed 's/\([0-9]\)\.so\./\1-/; s/\.so\.//')" ;;
		esac
	done | sed 's/, $//'
}

rm -rf "$root" "$out"/*.deb
mkdir -p "$root/DEBIAN"
"$MAKE" -s install "DESTDIR=$root" prefix=/usr sysconfdir=/etc systemdunitdir=/lib/systemd/system \
	zshfunctiondir=/usr/share/zsh/vendor-completions
"$STRIP" --remove-section=.comment --remove-section=.note "$root/usr/bin/sidestep"
gzip -9n "$root"/usr/share/man/man8/*.8

documents=$root/usr/share/doc/sidestep
awk 'FNR == NR { bsd = bsd (NR > 1 ? "\n" : "") " " ($0 == "" ? "." : $0); next }
	$0 == "@BSD@" { print bsd; next } { print }' LICENSES/BSD-2-Clause.txt $here/copyright >"$documents/copyright"
printf 'sidestep (%s) stable; urgency=medium\n\n  * See CHANGELOG.md in the source.\n\n -- %s  %s\n' "$version" \
	"$(sed -n 's/^Maintainer: //p' $here/control.in)" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" |
	gzip -9n >"$documents/changelog.gz"
deploy/sbom.sh spdx sidestep-deb "$architecture" "$root/usr/bin/sidestep" >"$documents/sidestep.spdx.json"
install -D -m 644 $here/lintian-overrides "$root/usr/share/lintian/overrides/sidestep"

sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@BUILT_USING@/$(deploy/sbom.sh built-using)/" \
	-e "s/@DEPENDS@/$(depends "$root/usr/bin/sidestep")/" \
	-e "s/@SIZE@/$(du -k -s --apparent-size "$root" | cut -f1)/" $here/control.in >"$root/DEBIAN/control"
for script in postinst prerm postrm; do
	install -m 755 "$here/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find etc -type f | sed 's|^|/|' | sort) >"$root/DEBIAN/conffiles"
(cd "$root" && find lib usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/sidestep_${version}_$architecture.deb"
