#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The container image (image/build.sh): its size, its metadata, and its behaviour as workerd needs it, in the
# engines of this release and of the next one.

# shellcheck source=tests/lib/testbed.bash
. "$BATS_TEST_DIRNAME/lib/testbed.bash"

IMAGE_MAX=8000000 # bytes, compressed

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=400
	export IMAGE=$BATS_FILE_TMPDIR/image
	bed_locked image image_copy "$IMAGE"
}

setup() {
	TAR=$IMAGE/sidestep.tar
}

# image_copy FOLDER - makes the image and copies it there. Other files of tests make it anew meanwhile.
image_copy() {
	env -u MAKEFLAGS -u BUILD make -s -C "$BED_REPO" image && cp -a "$BED_REPO/build/image" "$1"
}

teardown() {
	bed_stop
}

# engine_with_image - starts an engine and loads the tar.
engine_with_image() {
	engine_start
	dk load -qi "$TAR" >/dev/null
}

inspect() {
	dk image inspect -f "$1" sidestep
}

behaves() {
	local version
	version=$(<"$BED_REPO/VERSION")
	is entrypoint "$(inspect '{{json .Config.Entrypoint}}')" '["/usr/bin/sidestep"]'
	is command "$(inspect '{{json .Config.Cmd}}')" null
	is role "$(inspect '{{index .Config.Labels "dev.sidestep.role"}}')" sidecar
	is version "$(inspect '{{index .Config.Labels "org.opencontainers.image.version"}}')" "$version"
	is tag "$(dk image inspect -f '{{.Id}}' "sidestep:$version")" "$(inspect '{{.Id}}')"
	is "health check" "$(inspect '{{json .Config.Healthcheck.Test}}')" '["CMD","/usr/bin/sidestep","ready"]'
	like output "$(dk run --rm sidestep version)" "^sidestep $version( |$)"
	[[ $(dk run --rm sidestep --help) == "Usage: sidestep COMMAND"* ]]
}

# copies - the image copies a directory as workerd does for a snapshot.
copies() {
	local source=$BED_DIR/source copy=$BED_DIR/copy
	mkdir "$source" "$copy"
	mkdir -m 2750 "$source/folder"
	echo one >"$source/folder/.hidden"
	ln "$source/folder/.hidden" "$source/folder/hard"
	ln -s .hidden "$source/folder/link"
	chown -R 1234:5678 "$source/folder"
	touch -d 2001-02-03 "$source/folder/.hidden"
	dk run --rm -v "$source:/src" -v "$copy:/dst" --entrypoint /bin/cp sidestep -a /src/. /dst/
	is copy "$(cd "$copy" && find . -mindepth 1 -printf '%p %y %m %U:%G %l %T@ %n %s\n' | sort)" \
		"$(cd "$source" && find . -mindepth 1 -printf '%p %y %m %U:%G %l %T@ %n %s\n' | sort)"
}

# starts_as_sidecar - the sidecar works with workerd's arguments and NET_ADMIN alone.
starts_as_sidecar() {
	dk run -d --name sidecar --cap-add NET_ADMIN --add-host host.docker.internal:host-gateway sidestep \
		--http-egress-port 8080 --http-ingress-address 0.0.0.0:39001 \
		--docker-gateway-cidr 172.17.0.0/16 --dns-enabled --tls-intercept >/dev/null
	engine_wait_line sidecar "interception is live" 10
	healthy() { [ "$(dk inspect -f '{{.State.Health.Status}}' sidecar)" = healthy ]; }
	bed_until 10 healthy
	dk cp -a sidecar:/ca "$BED_DIR/ca"
	is "certificate and key" "$(cd "$BED_DIR/ca" && stat -c '%a %n' *)" $'644 ca.crt\n600 ca.key'
}

@test "the image has at most 8 MB compressed, as a layer and as saved by an engine" {
	local layer
	layer=$(tar -tvf "$TAR" | awk '/sha256/ { if ($3 > max) max = $3 } END { print max }')
	echo "layer $layer bytes, archive $(stat -c %s "$TAR")"
	[ "$layer" -le $IMAGE_MAX ]
	engine_with_image
	[ "$(dk save sidestep | gzip -9 | wc -c)" -le $IMAGE_MAX ]
}

@test "the same inputs give the same bytes" {
	bed_locked image image_copy "$BATS_TEST_TMPDIR/again"
	is digest "$(sha256sum <"$BATS_TEST_TMPDIR/again/sidestep.tar")" "$(sha256sum <"$TAR")"
}

@test "no program in the image misses a library" {
	chroot "$IMAGE/rootfs" /usr/bin/sidestep --help >/dev/null
	chroot "$IMAGE/rootfs" /bin/cp --help >/dev/null
}

@test "it has the licence of each part, and no library that contradicts the whole" {
	local file llhttp=libllhttp-dev
	[ ! -e /usr/share/llhttp ] || llhttp=node-llhttp
	cd "$BED_REPO/build/image/rootfs"
	is libnftables "$(find . -name 'libnftables*')" ""
	for file in sidestep/LICENSE.md sidestep/LICENSES/GPL-3.0-or-later.txt libnftnl-dev/copyright \
		libssl-dev/copyright libbpf-dev/copyright libelf-dev/copyright libmnl0/copyright \
		libjansson-dev/copyright libcap-dev/copyright libseccomp-dev/copyright zlib1g-dev/copyright \
		libarchive-dev/copyright $llhttp/copyright libc6/copyright coreutils/copyright; do
		[ -s "usr/share/doc/$file" ] || fail "no $file"
	done
}

@test "the program starts within 20 ms" {
	local best=1000000 begin round took
	for round in 1 2 3 4 5 6 7 8 9; do
		begin=${EPOCHREALTIME/[.,]/}
		"$IMAGE/rootfs/usr/bin/sidestep" version >/dev/null
		took=$((${EPOCHREALTIME/[.,]/} - begin))
		((took >= best)) || best=$took
	done
	echo "$best us, the best of $round"
	[ "$best" -le 20000 ]
}

@test "this release's engine runs the image" {
	engine_with_image
	behaves
	copies
	starts_as_sidecar
}

@test "the next release's engine runs the image" {
	export ENGINE=trixie
	engine_with_image
	behaves
	copies
	starts_as_sidecar
}

@test "the next release's engine runs it from the image store of containerd, under the same name" {
	export ENGINE=trixie
	engine_start
	echo '{"features": {"containerd-snapshotter": true}}' >"$BED_DIR/engine/daemon.json"
	engine_restart
	[[ $(dk info -f '{{json .DriverStatus}}') == *io.containerd.snapshotter* ]]
	dk load -qi "$TAR"
	is names "$(dk image ls --format '{{.Repository}}:{{.Tag}}' | sort)" "sidestep:$(<"$BED_REPO/VERSION")
sidestep:latest"
	behaves
}

@test "docker build with the Dockerfile gives the same image without a network" {
	export ENGINE=trixie
	engine_start
	bed_locked image dk build --load --provenance=false -t sidestep "$BED_REPO" 2>&1
	is entrypoint "$(inspect '{{json .Config.Entrypoint}}')" '["/usr/bin/sidestep"]'
	is role "$(inspect '{{index .Config.Labels "dev.sidestep.role"}}')" sidecar
	is "health check" "$(inspect '{{json .Config.Healthcheck.Test}}')" '["CMD","/usr/bin/sidestep","ready"]'
	like output "$(dk run --rm sidestep version)" "^sidestep $(<"$BED_REPO/VERSION")( |$)"
	copies
}

@test "the image of the other architecture builds with all its libraries" {
	local other machine
	case $(dpkg --print-architecture) in
	amd64) other=arm64 machine=AArch64 ;;
	arm64) other=amd64 machine="Advanced Micro Devices X86-64" ;;
	esac
	env -u MAKEFLAGS -u BUILD make -s -C "$BED_REPO" image "IMAGE_ARCH=$other"
	"$BED_REPO/tests/hardening.sh" "$BED_REPO/build/$other/sidestep" "$BED_REPO/build/$other/user/main.o" \
		"$BED_REPO/build/$other/libsidestep.a"
	cd "$BED_REPO/build/$other/image/rootfs"
	for file in usr/bin/sidestep bin/cp lib/*/libc.so.6; do
		[[ $(readelf -h "$file") == *"Machine: "*"$machine"* ]] || fail "$file is not for $other"
	done
	readelf -lW usr/bin/sidestep | sed -n 's/.*interpreter: \/\(.*\)\]$/\1/p' | xargs test -x
	for name in $(readelf -dW usr/bin/sidestep lib/*/*.so.* | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
		[ -n "$(find lib* -name "$name")" ] || fail "$name is missing"
	done
}
