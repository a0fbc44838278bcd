#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tells of which parts of Debian a build of Sidestep consists: as an SPDX document, or as a field of the package.
#
#   deploy/sbom.sh spdx NAME ARCHITECTURE PROGRAM [PACKAGE...]   prints an SPDX 2.3 document in JSON. NAME is the
#                                       package or image; PACKAGEs are further ones that it contains
#   deploy/sbom.sh built-using          prints the source packages of the archives in the program, for Built-Using
#
# The list of linked libraries is $BUILD/libraries, which the program was linked with. Names and versions are
# dpkg's or, for another architecture, those of the changelogs below $SYSROOT. The same inputs give the same bytes.
set -eu

: "${BUILD:=build}" "${SYSROOT:=}" "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}"
export LC_ALL=C

die() {
	printf 'sbom: %s\n' "$*" >&2
	exit 1
}

# archives - prints the packages of the archives in the program.
archives() {
	for name in $(tr ' ' '\n' <"$BUILD/libraries" | sed -n 's/^-l:\(.*\.a\)$/\1/p'); do
		dpkg-query -S "$(realpath "$(gcc -print-file-name="$name")")" | sed 's/[:,].*//'
	done
	[ ! -e /usr/share/llhttp ] || echo node-llhttp
}

# shared - prints the packages of the shared libraries in the program.
shared() {
	tr ' ' '\n' <"$BUILD/libraries" | sed -n 's/^-l\([a-z].*\)$/lib\1/p' | while read -r name; do
		dpkg-query -S "$(realpath "$(gcc -print-file-name="$name.so")")" | sed 's/[:,].*//'
	done
	echo libc6
}

# source_of PACKAGE - prints its source package and that one's version.
source_of() {
	changelog=$SYSROOT/usr/share/doc/$1/changelog.Debian.gz
	if [ -n "$SYSROOT" ] && [ -e "$changelog" ]; then
		zcat "$changelog" | sed -n '1s/^\([^ ]*\) (\([^)]*\)).*/\1 \2/p'
	else
		# A suffix tells where the size of time_t has changed.
		dpkg-query -W -f '${source:Package} ${source:Version}\n' "$1" 2>/dev/null ||
			dpkg-query -W -f '${source:Package} ${source:Version}\n' "$1t64" || die "dpkg does not know $1"
	fi
}

# licence_of PACKAGE - prints the licence that LICENSE.md says, as SPDX names it.
licence_of() {
	case $1 in
	libncurses* | libtinfo* | ncurses*) echo X11-distribute-modifications-variant ;;
	libnftnl*) echo GPL-2.0-or-later ;;
	libssl*) echo Apache-2.0 ;;
	libelf*) echo "LGPL-3.0-or-later OR GPL-2.0-or-later" ;;
	libmnl* | libc6*) echo LGPL-2.1-or-later ;;
	libseccomp*) echo LGPL-2.1-only ;;
	libbpf*) echo "LGPL-2.1-only OR BSD-2-Clause" ;;
	libcap* | libzstd*) echo "BSD-3-Clause OR GPL-2.0-only" ;;
	libjansson* | *llhttp*) echo MIT ;;
	zlib1g*) echo Zlib ;;
	libarchive*) echo BSD-2-Clause ;;
	coreutils) echo GPL-3.0-or-later ;;
	*) echo NOASSERTION ;;
	esac
}

# identifier PACKAGE - prints its name in the document.
identifier() {
	printf 'SPDXRef-Package-%s' "$1" | sed 's/[^A-Za-z0-9.-]/-/g'
}

# package_entry PACKAGE - prints its entry, behind a comma.
package_entry() {
	found=$(source_of "$1")
	[ -n "$found" ] || die "no version of $1"
	cat <<-ENTRY
		    ,{
		      "SPDXID": "$(identifier "$1")", "name": "$1", "versionInfo": "${found#* }",
		      "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,
		      "licenseConcluded": "NOASSERTION", "licenseDeclared": "$(licence_of "$1")", "copyrightText": "NOASSERTION",
		      "sourceInfo": "built from Debian's source package ${found% *}",
		      "externalRefs": [{
		        "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
		        "referenceLocator": "pkg:deb/debian/$1@$(printf '%s' "${found#* }" | sed 's/+/%2B/g; s/~/%7E/g')?arch=$architecture"
		      }]
		    }
	ENTRY
}

# relation TYPE PACKAGE - prints that the program or the whole has the package, behind a comma.
relation() {
	printf '    ,{"spdxElementId": "SPDXRef-%s", "relationshipType": "%s", "relatedSpdxElement": "%s"}\n' \
		"$([ "$1" = CONTAINS ] && echo Whole || echo Program)" "$1" "$(identifier "$2")"
}

spdx() {
	whole=$1 architecture=$2 program=$3
	shift 3
	linked=$(archives | sort -u)
	loaded=$(shared | sort -u)
	contained=$(printf '%s\n' "$@" | grep -vxF -e "$linked" -e "$loaded" -e '' | sort -u)
	version=$(cat VERSION)
	digest=$(sha256sum "$program" | cut -d' ' -f1)
	cat <<-HEAD
		{
		  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
		  "name": "$whole-$version-$architecture",
		  "documentNamespace": "urn:sidestep:spdx:$whole-$version-$architecture-$digest",
		  "creationInfo": {
		    "created": "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)", "creators": ["Tool: sidestep-deploy-sbom"]
		  },
		  "packages": [
		    {
		      "SPDXID": "SPDXRef-Whole", "name": "$whole", "versionInfo": "$version",
		      "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseConcluded": "GPL-3.0-or-later",
		      "licenseDeclared": "GPL-3.0-or-later", "copyrightText": "NOASSERTION"
		    },{
		      "SPDXID": "SPDXRef-Program", "name": "sidestep", "versionInfo": "$version",
		      "downloadLocation": "NOASSERTION", "filesAnalyzed": false, "licenseConcluded": "GPL-3.0-or-later",
		      "licenseDeclared": "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)", "copyrightText": "NOASSERTION",
		      "checksums": [{"algorithm": "SHA256", "checksumValue": "$digest"}]
		    }
	HEAD
	for package in $linked $loaded $contained; do
		package_entry "$package"
	done
	cat <<-MIDDLE
		  ],
		  "relationships": [
		    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-Whole"},
		    {"spdxElementId": "SPDXRef-Whole", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-Program"}
	MIDDLE
	for package in $linked; do
		relation STATIC_LINK "$package"
	done
	for package in $loaded; do
		relation DYNAMIC_LINK "$package"
	done
	for package in $contained; do
		relation CONTAINS "$package"
	done
	printf '  ]\n}\n'
}

cd "$(dirname "$0")/.."
case ${1:-} in
spdx)
	shift
	spdx "$@"
	;;
built-using)
	for package in $(archives | sort -u); do
		source_of "$package"
	done | sort -u | sed 's/\(.*\) \(.*\)/\1 (= \2)/' | paste -s -d, | sed 's/,/, /g'
	;;
*) die "give spdx or built-using" ;;
esac
