#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the packages that building and testing need, or unpacks them below build/ (Debian 12, 13, Ubuntu
# 24.04).
#
#   tests/deps.sh build test   installs what is missing of these groups
#   tests/deps.sh bench        likewise for `make bench`. haproxy and redsocks would start services, so they are
#                              unpacked into build/bench-tools
#   tests/deps.sh distros      likewise for tests/distros/check.sh
#   tests/deps.sh deb          likewise for tests/distros/deb.sh
#   tests/deps.sh lint         prints the folder of the tools of tests/lint.sh in Debian 12's versions; where the
#                              machine has others, they are unpacked into build/lint-tools
#   tests/deps.sh engine       prints the folder of a Docker engine; without one on the machine, it is unpacked
#                              into build/docker
#   tests/deps.sh engine-trixie  the same for Debian 13's engine and its buildx
#   tests/deps.sh podman       unpacks Podman into build/podman and prints the folder of its files
#   tests/deps.sh programs     installs the clients of tests/programs; unpacks their servers, which would start
#                              services, into build/programs. It goes on without a package that
#                              cannot be had
#   tests/deps.sh compose      unpacks Debian 13's Compose into build/compose and prints its path
#   tests/deps.sh prometheus   unpacks Prometheus into build/prometheus and prints the folder of its programs
#   tests/deps.sh wrangler     installs node, npm and curl; unpacks docker-registry into build/registry and
#                              prints its folder
#   tests/deps.sh sysroot-ARCH installs the cross compiler for arm64 or amd64; unpacks the libraries to link
#                              with into build/sysroot-ARCH and prints that folder
#   tests/deps.sh emulator-ARCH  unpacks QEMU into build/qemu, and prints the path of the program that runs
#                              that architecture's
#   tests/deps.sh kernel-SUITE installs QEMU; unpacks that Debian release's kernel (amd64) into
#                              build/kernels/SUITE with an initial RAM disk and prints that folder
#   tests/deps.sh bpftool      prints the path of a bpftool that runs on this kernel
#   tests/deps.sh bpftool-tcx  the same for one whose `net` lists TCX; where the machine's is older, Debian
#                              13's is unpacked into build/bpftool
#   tests/deps.sh e2e          installs node, npm and curl, and into build/e2e the workerd of
#                              tests/e2e/package-lock.json; prints the path of workerd
#
# Each folder is for PATH. When nothing is missing, a call is quick and quiet: apt is asked only about packages
# that dpkg does not have. Packages come from the machine's own apt configuration.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
engine_dir=${SIDESTEP_ENGINE_DIR:-$here/build/docker}
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

build_packages="gcc libc6-dev make clang llvm libbpf-dev libelf-dev zlib1g-dev libmnl-dev
	libjansson-dev libcap-dev libseccomp-dev libssl-dev libzstd-dev libnftnl-dev libncurses-dev
	libarchive-dev"
test_packages="git libcmocka-dev libldns-dev libnftables-dev bats iproute2 nftables iptables procps util-linux
	busybox-static kmod libcap2-bin curl nodejs openssl python3 python3-jsonschema strace tshark"
# tests/lint.sh is written for Debian 12's versions.
lint_packages="clang-format-14 clang-tidy-14 cppcheck shellcheck"
lint_dir=$here/build/lint-tools
image_packages="coreutils binutils"
sysroot_packages="libc6-dev libbpf-dev libelf-dev zlib1g-dev libmnl-dev
	libjansson-dev libcap-dev libseccomp-dev libssl-dev libzstd-dev libnftnl-dev libncurses-dev
	libarchive-dev libcmocka-dev libnftables-dev coreutils"
bench_packages="python3 wrk iperf3 strace openssl librsvg2-bin"
bench_tool_packages="haproxy redsocks"
bench_dir=$here/build/bench-tools
kernel_packages="qemu-system-x86 busybox-static cpio kmod xz-utils zstd"
podman_packages="podman runc netavark aardvark-dns"
engine_packages="docker.io containerd runc tini iptables"
newer_engine_packages="docker.io docker-cli docker-buildx containerd tini"
e2e_dir=$here/build/e2e
# The clients of tests/programs, as PROGRAM:PACKAGE, and the modules of Python.
program_clients="curl:curl wget:wget git:git ssh:openssh-client node:nodejs npm:npm hey:hey javac:default-jdk-headless
	psql:postgresql-client redis-cli:redis-tools mariadb:mariadb-client"
program_modules="python3-pip python3-websockets"
program_servers="openssh-server redis-server postgresql mariadb-server"

# shellcheck source=tests/lib/apt.sh
. "$here/tests/lib/apt.sh"

# Several files of tests may ask at once.
mkdir -p "$here/build"
exec 9>"$here/build/deps.lock"
flock -w 600 9 || true

say() { printf 'deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# missing PACKAGE... - prints those that are not installed.
missing() {
	for package; do
		status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) || status=
		[ "$status" = installed ] || printf '%s ' "$package"
	done
}

# update - refreshes the package lists, once per run.
updated=
update() {
	[ -z "$updated" ] || return 0
	apt-get -qq -o Acquire::Retries=3 update >&2 || say "apt-get update reported errors; going on"
	updated=1
}

install_packages() {
	# shellcheck disable=SC2046 # a list of words
	set -- $(missing "$@")
	[ $# -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		die "not root, and these packages are missing; run: sudo apt-get install $*"
	fi
	say "installing: $*"
	update
	apt-get -qq -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --no-install-recommends \
		"$@" >&2 || die "apt-get could not install: $*"
}

# is_current FOLDER LIST - whether FOLDER was unpacked from this list of packages.
is_current() {
	[ "$(cat "$1/packages" 2>/dev/null)" = "$2" ]
}

# has_package PACKAGE - whether the machine's package sources have it.
has_package() {
	apt-cache show "$1" >/dev/null 2>&1
}

# need_llhttp - installs llhttp: a library from Debian 13 on, before that C sources in a package for Node.
need_llhttp() {
	[ ! -e /usr/share/llhttp/llhttp.c ] && [ ! -e /usr/include/llhttp.h ] || return 0
	has_package node-llhttp || update
	if has_package libllhttp-dev; then
		install_packages libllhttp-dev
	else
		install_packages node-llhttp
	fi
}

# need_lint - prints the folder of clang-format 14, clang-tidy 14, cppcheck and shellcheck. Where another Debian release
# has other versions, Debian 12's are unpacked, with the headers that they were made for.
need_lint() {
	case $(. /etc/os-release && echo "${ID:-}:${VERSION_CODENAME:-}") in
	debian:bookworm | ubuntu:*)
		# shellcheck disable=SC2086 # a list of words
		install_packages $lint_packages
		echo /usr/lib/llvm-14/bin
		return
		;;
	esac
	if ! is_current "$lint_dir" "$lint_packages $sysroot_packages"; then
		say "unpacking Debian 12's tools for lint into $lint_dir (nothing is installed)"
		stage=$lint_dir.new
		rm -rf "$stage"
		mkdir -p "$stage/bin"
		# They run with the machine's libc, which is newer, and with their own other libraries.
		# shellcheck disable=SC2046,SC2086 # lists of words
		(
			apt_open "$here/build/apt/bookworm" bookworm "$(dpkg --print-architecture)" &&
				apt_unpack "$stage/root" $(apt_closure $lint_packages $sysroot_packages node-llhttp |
					grep -vx libc6)
		) || die "cannot get the tools for lint from the machine's package sources"
		# Beside the program is where cppcheck looks first.
		(cd "$stage/root/usr/bin" && ln -s ../lib/*/cppcheck/cfg .)
		wrap usr/bin/cppcheck >"$stage/bin/cppcheck"
		wrap usr/bin/shellcheck >"$stage/bin/shellcheck"
		wrap usr/lib/llvm-14/bin/clang-format >"$stage/bin/clang-format"
		# shellcheck disable=SC2016 # for the wrapper
		wrap usr/lib/llvm-14/bin/clang-tidy '"--extra-arg-before=--sysroot=$root"' \
			'"--extra-arg-before=-isystem$root/usr/share/include/llhttp"' >"$stage/bin/clang-tidy"
		chmod 755 "$stage/bin"/*
		printf '%s\n' "$lint_packages $sysroot_packages" >"$stage/packages"
		rm -rf "$lint_dir"
		mv "$stage" "$lint_dir"
	fi
	printf '%s\n' "$lint_dir/bin"
}

# find_bpftool - prints a bpftool that runs. Ubuntu's /usr/sbin/bpftool is a wrapper that refuses when no
# package matches the running kernel. Any version of the real program works here.
find_bpftool() {
	for tool in "$(command -v bpftool || true)" /usr/sbin/bpftool \
		/usr/lib/linux-tools-*/bpftool /usr/lib/linux-tools/*/bpftool; do
		[ -x "$tool" ] || continue
		if "$tool" version >/dev/null 2>&1; then
			printf '%s\n' "$tool"
			return 0
		fi
	done
	return 1
}

need_bpftool() {
	find_bpftool >/dev/null && return 0
	if [ "$(. /etc/os-release && echo "${ID:-}")" = ubuntu ]; then
		install_packages linux-tools-common linux-tools-generic
	else
		install_packages bpftool
	fi
	find_bpftool >/dev/null || die "no bpftool that runs here; install the package that has it"
}

# lists_tcx TOOL - whether this bpftool lists TCX, as it does from 7.3 on.
lists_tcx() {
	version=$("$1" version | sed -n 's/^[^ ]* v\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
	[ -n "$version" ] && [ $((${version% *} * 100 + ${version#* })) -ge 703 ]
}

# need_bpftool_tcx - prints a bpftool that lists TCX. The unpacked one may need a newer libc than this
# machine's, so it comes with its own libc and loader.
need_bpftool_tcx() {
	tool=$(find_bpftool) && lists_tcx "$tool" && {
		printf '%s\n' "$tool"
		return
	}
	if [ ! -x "$here/build/bpftool/bpftool" ]; then
		[ "$(. /etc/os-release && echo "${ID:-}")" = debian ] || die "no bpftool 7.3 or newer; install one"
		say "unpacking a newer bpftool into $here/build/bpftool (nothing is installed)"
		stage=$here/build/bpftool.new
		rm -rf "$stage"
		# shellcheck disable=SC2046 # a list of words
		(
			apt_open "$here/build/apt/trixie" trixie "$(dpkg --print-architecture)" &&
				apt_unpack "$stage/root" $(apt_closure bpftool)
		) || die "cannot get a newer bpftool from the machine's package sources"
		cat >"$stage/bpftool" <<-'WRAPPER'
			#!/bin/sh
			root=$(dirname "$(readlink -f "$0")")/root
			for loader in "$root"/usr/lib/*-linux-gnu*/ld-linux-*; do
				exec "$loader" --library-path "${loader%/*}" "$root/usr/sbin/bpftool" "$@"
			done
		WRAPPER
		chmod 755 "$stage/bpftool"
		lists_tcx "$stage/bpftool" || die "the newer bpftool does not run on this machine"
		rm -rf "$here/build/bpftool"
		mv "$stage" "$here/build/bpftool"
	fi
	printf '%s\n' "$here/build/bpftool/bpftool"
}

# engine_on_machine - prints the folder of dockerd if all programs of an engine are in PATH.
engine_on_machine() {
	for tool in dockerd docker containerd containerd-shim-runc-v2 runc; do
		command -v "$tool" >/dev/null || return 1
	done
	dirname "$(command -v dockerd)"
}

# unpack FOLDER PACKAGE... - unpacks the packages, and those that apt would install with them, into
# FOLDER/root. FOLDER/bin gets wrappers by which the programs find their shared libraries.
unpack() {
	folder=$1
	stage=$1.stage.$$
	shift
	rm -rf "$stage"
	mkdir -p "$stage/deb" "$stage/root" "$stage/bin"
	trap 'rm -rf "$stage"' EXIT
	if ! apt-cache show "$1" >/dev/null 2>&1; then
		[ "$(id -u)" = 0 ] || die "no package lists; run: sudo apt-get update"
		update
	fi
	wanted=$(apt-get -qq --simulate --no-install-recommends install "$@" |
		sed -n 's/^Inst \([^ ]*\).*/\1/p')
	# Apt names no package that is installed already. The files of those asked for are needed all the same.
	[ -n "$wanted" ] || wanted=$*
	# shellcheck disable=SC2086
	(cd "$stage/deb" && apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root \
		download $wanted >&2) ||
		{ [ "$(id -u)" = 0 ] && update && cd "$stage/deb" &&
			apt-get -qq -o APT::Sandbox::User=root download $wanted >&2; } ||
		die "apt-get could not download: $wanted"
	for deb in "$stage"/deb/*.deb; do
		dpkg-deb -x "$deb" "$stage/root"
	done
	rm -rf "$stage/deb"
	finish_engine "$folder"
}

# finish_engine FOLDER - writes wrappers for the programs in $stage/root and moves $stage to FOLDER.
finish_engine() {
	rm -rf "$stage/root/usr/share"
	for path in "$stage"/root/usr/sbin/* "$stage"/root/usr/bin/* "$stage"/root/sbin/*; do
		[ -f "$path" ] && [ -x "$path" ] || continue
		wrap "${path#"$stage/root/"}" >"$stage/bin/$(basename "$path")"
		chmod 755 "$stage/bin/$(basename "$path")"
	done
	# dockerd looks for its init process under this name.
	[ ! -e "$stage/bin/tini-static" ] || cp "$stage/bin/tini-static" "$stage/bin/docker-init"
	printf '%s\n' "$wanted" >"$stage/packages"
	rm -rf "$1"
	mv "$stage" "$1"
	trap - EXIT
}

# unpack_engine_of SUITE - unpacks the engine of another Debian release into $engine_dir-SUITE. Only its Go
# programs are taken, because they run with this machine's libc. runc, iptables and the shared libraries are
# those of the machine's own release.
unpack_engine_of() {
	[ "$(. /etc/os-release && echo "${ID:-}")" = debian ] || die "an engine of $1 needs Debian"
	stage=$engine_dir-$1.stage.$$
	rm -rf "$stage"
	mkdir -p "$stage/bin"
	trap 'rm -rf "$stage"' EXIT
	# shellcheck disable=SC2086 # a list of words
	(
		apt_open "$here/build/apt/$1" "$1" "$(dpkg --print-architecture)" &&
			apt_unpack "$stage/root" $newer_engine_packages
	) || die "cannot get the engine of $1 from the machine's package sources"
	wanted=$newer_engine_packages
	finish_engine "$engine_dir-$1"
	for tool in dockerd containerd docker; do
		"$engine_dir-$1/bin/$tool" --version >/dev/null ||
			die "$tool of $1 does not run on this machine"
	done
}

# wrap PROGRAM [ARGUMENT...] - prints a wrapper in bin/ for a program in root/. The arguments, quoted for
# a shell, come before the caller's.
wrap() {
	program=$1
	shift
	cat <<-WRAPPER
		#!/bin/sh
		root=\$(dirname "\$(readlink -f "\$0")")/../root
		for dir in "\$root"/usr/lib/*-linux-gnu* "\$root"/lib/*-linux-gnu*; do
			[ ! -d "\$dir" ] || LD_LIBRARY_PATH=\$dir\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
		done
		[ -z "\${LD_LIBRARY_PATH:-}" ] || export LD_LIBRARY_PATH
		exec "\$root/$program"${*:+ $*} "\$@"
	WRAPPER
}

need_engine() {
	if engine_on_machine; then
		return 0
	fi
	if [ ! -e "$engine_dir/packages" ]; then
		command -v apt-get >/dev/null || die "no dockerd in PATH and no apt-get to fetch one"
		say "unpacking a Docker engine into $engine_dir (nothing is installed)"
		# Debian 13 has the command line in a package of its own.
		# shellcheck disable=SC2046,SC2086 # lists of words
		unpack "$engine_dir" $engine_packages $(has_package docker-cli && echo docker-cli)
	fi
	printf '%s\n' "$engine_dir/bin"
}

# need_wrangler_tools - installs the programs that examples/wrangler/run calls, except wrangler itself.
need_wrangler_tools() {
	for tool in node:nodejs npm:npm curl:curl; do
		command -v "${tool%:*}" >/dev/null || install_packages "${tool#*:}"
	done
	if command -v docker-registry >/dev/null; then
		dirname "$(command -v docker-registry)"
		return
	fi
	if [ ! -d "$here/build/registry" ]; then
		apt-cache show docker-registry >/dev/null 2>&1 || update
		rm -rf "$here/build/registry.new"
		apt_unpack "$here/build/registry.new" docker-registry || die "cannot get docker-registry"
		mv "$here/build/registry.new" "$here/build/registry"
	fi
	printf '%s\n' "$here/build/registry/usr/bin"
}

# need_compose - prints the path of Docker's Compose plugin, a Go program that runs with any libc.
need_compose() {
	plugin=usr/libexec/docker/cli-plugins/docker-compose
	if [ ! -d "$here/build/compose" ]; then
		rm -rf "$here/build/compose.new"
		(
			apt_open "$here/build/apt/trixie" trixie "$(dpkg --print-architecture)" &&
				apt_unpack "$here/build/compose.new" docker-compose
		) || die "cannot get Compose from the machine's package sources"
		"$here/build/compose.new/$plugin" version >/dev/null || die "Compose does not run on this machine"
		mv "$here/build/compose.new" "$here/build/compose"
	fi
	printf '%s\n' "$here/build/compose/$plugin"
}

# need_prometheus - prints the folder of prometheus and promtool, Go programs that run with any libc. The package would
# start a service.
need_prometheus() {
	if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
		dirname "$(command -v promtool)"
		return
	fi
	if [ ! -d "$here/build/prometheus" ]; then
		has_package prometheus || update
		rm -rf "$here/build/prometheus.new"
		apt_unpack "$here/build/prometheus.new" prometheus || die "cannot get prometheus"
		mv "$here/build/prometheus.new" "$here/build/prometheus"
	fi
	printf '%s\n' "$here/build/prometheus/usr/bin"
}

# need_programs - installs and unpacks what tests/programs runs. Its tests skip what is missing.
need_programs() {
	set --
	for tool in $program_clients; do
		command -v "${tool%:*}" >/dev/null || set -- "$@" "${tool#*:}"
	done
	# shellcheck disable=SC2086 # lists of words
	for package in "$@" $(missing $program_modules); do
		has_package "$package" || update
		(install_packages "$package") || say "goes on without $package"
	done
	# shellcheck disable=SC2086 # a list of words
	servers=$(missing $program_servers)
	if [ -n "$servers" ] && ! is_current "$here/build/programs" "$servers"; then
		say "unpacking $servers into $here/build/programs (nothing is installed)"
		stage=$here/build/programs.new
		rm -rf "$stage"
		# shellcheck disable=SC2046,SC2086 # lists of words
		apt_unpack "$stage" $(apt_closure $servers | grep -vx libc6) || { say "goes on without $servers"; return 0; }
		printf '%s\n' "$servers" >"$stage/packages"
		rm -rf "$here/build/programs"
		mv "$stage" "$here/build/programs"
	fi
}

# need_sysroot ARCHITECTURE - prints the folder to cross compile with.
need_sysroot() {
	case $1 in
	arm64) install_packages gcc-aarch64-linux-gnu ;;
	amd64) install_packages gcc-x86-64-linux-gnu ;;
	*) die "no cross build for '$1'; there are: amd64 arm64" ;;
	esac >&2
	sysroot=$here/build/sysroot-$1
	if ! is_current "$sysroot" "$sysroot_packages"; then
		say "unpacking the libraries of $1 into $sysroot (nothing is installed)"
		own=$(. /etc/os-release && echo "$VERSION_CODENAME")
		rm -rf "$sysroot.new"
		# shellcheck disable=SC2046,SC2086 # lists of words
		(
			apt_open "$here/build/apt/$own-$1" "$own" "$1" &&
				apt_unpack "$sysroot.new" $(apt_closure $sysroot_packages \
					$(has_package libllhttp-dev && echo libllhttp-dev))
		) || die "cannot get the libraries of $1 from the machine's package sources"
		printf '%s\n' "$sysroot_packages" >"$sysroot.new/packages"
		rm -rf "$sysroot"
		mv "$sysroot.new" "$sysroot"
	fi
	printf '%s\n' "$sysroot"
}

# need_emulator ARCHITECTURE - prints the path of the program that runs that architecture's programs.
need_emulator() {
	case $1 in
	arm64) emulator=qemu-aarch64 ;;
	amd64) emulator=qemu-x86_64 ;;
	*) die "no emulator for '$1'; there are: amd64 arm64" ;;
	esac
	if [ ! -d "$here/build/qemu" ]; then
		say "unpacking QEMU into $here/build/qemu (nothing is installed)"
		has_package qemu-user || update
		stage=$here/build/qemu.new
		rm -rf "$stage"
		mkdir -p "$stage/bin"
		# shellcheck disable=SC2046 # a list of words
		apt_unpack "$stage/root" $(apt_closure qemu-user | grep -vx libc6) || die "cannot get qemu-user"
		for path in "$stage"/root/usr/bin/qemu-aarch64 "$stage"/root/usr/bin/qemu-x86_64; do
			wrap "usr/bin/${path##*/}" >"$stage/bin/${path##*/}"
			chmod 755 "$stage/bin/${path##*/}"
		done
		mv "$stage" "$here/build/qemu"
	fi
	printf '%s\n' "$here/build/qemu/bin/$emulator"
}

# need_engine_of SUITE - prints the folder of that engine and, for runc and iptables, of the usual one.
need_engine_of() {
	if [ ! -e "$engine_dir-$1/packages" ]; then
		say "unpacking the Docker engine of $1 into $engine_dir-$1 (nothing is installed)"
		unpack_engine_of "$1"
	fi
	usual=$(need_engine)
	printf '%s\n' "$engine_dir-$1/bin${usual:+:$usual}"
}

# need_workerd - prints the path of workerd, which npm unpacks as the lock file says. Each platform's program is
# in a package of its own. No install script runs.
need_workerd() {
	for tool in node:nodejs npm:npm curl:curl strace:strace openssl:openssl; do
		command -v "${tool%:*}" >/dev/null || install_packages "${tool#*:}"
	done
	if ! cmp -s "$here/tests/e2e/package-lock.json" "$e2e_dir/installed.json"; then
		say "installing workerd into $e2e_dir"
		mkdir -p "$e2e_dir"
		cp "$here/tests/e2e/package.json" "$here/tests/e2e/package-lock.json" "$e2e_dir"
		(cd "$e2e_dir" && npm ci --ignore-scripts --no-audit --no-fund >&2) || die "npm ci failed"
		cp "$e2e_dir/package-lock.json" "$e2e_dir/installed.json"
	fi
	for program in "$e2e_dir"/node_modules/@cloudflare/workerd-linux-*/bin/workerd; do
		[ -x "$program" ] || die "npm has no workerd for this machine"
		printf '%s\n' "$program"
	done
}

# need_podman - prints the folder with Podman's files, without those of packages that are installed.
need_podman() {
	folder=$here/build/podman
	if ! is_current "$folder" "$podman_packages"; then
		say "unpacking Podman into $folder (nothing is installed)"
		apt-cache show podman >/dev/null 2>&1 || update
		rm -rf "$folder.new"
		mkdir -p "$folder.new/root/etc" "$folder.new/root/usr"
		# shellcheck disable=SC2086 # a list of words
		wanted=$(apt_closure $podman_packages)
		# shellcheck disable=SC2086 # a list of words
		[ -z "$wanted" ] || (apt_unpack "$folder.new/root" $wanted) || die "cannot get Podman"
		printf '%s\n' "$podman_packages" >"$folder.new/packages"
		rm -rf "$folder"
		mv "$folder.new" "$folder"
	fi
	printf '%s\n' "$folder/root"
}

# need_kernel SUITE - prints the folder of a kernel for tests/kernels/check.sh.
need_kernel() {
	folder=$here/build/kernels/$1
	# shellcheck disable=SC2086 # a list of words
	install_packages $kernel_packages
	if [ ! -e "$folder/initrd" ]; then
		say "unpacking the kernel of $1 into $folder (nothing is installed)"
		stage=$folder.new
		rm -rf "$stage" "$folder"
		mkdir -p "$stage"
		(
			apt_open "$here/build/apt/$1" "$1" amd64 &&
				package=$(apt-cache depends linux-image-amd64 |
					sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p') &&
				apt_unpack "$stage/root" "$package"
		) || die "cannot get the kernel of $1 from the machine's package sources"
		mv "$stage"/root/boot/vmlinuz-* "$stage/vmlinuz"
		"$here/tests/kernels/initrd.sh" "$stage/root" "$stage/initrd"
		mv "$stage" "$folder"
	fi
	printf '%s\n' "$folder"
}

need_bench_tools() {
	[ ! -e "$bench_dir/packages" ] || return 0
	say "unpacking $bench_tool_packages into $bench_dir (nothing is installed)"
	# shellcheck disable=SC2086 # a list of words
	unpack "$bench_dir" $bench_tool_packages
}

[ $# -gt 0 ] || set -- build test
for group; do
	case $group in
	build)
		# shellcheck disable=SC2086
		install_packages $build_packages
		need_llhttp
		need_bpftool
		;;
	test)
		# shellcheck disable=SC2086
		install_packages $test_packages
		;;
	lint) need_lint ;;
	image)
		# shellcheck disable=SC2086
		install_packages $image_packages
		;;
	distros) install_packages debootstrap git util-linux ;;
	deb) install_packages debootstrap util-linux lintian man-db mandoc zsh fish systemd python3-kubernetes ;;
	bench)
		# shellcheck disable=SC2086
		install_packages $bench_packages
		need_bench_tools
		;;
	engine) need_engine ;;
	engine-*) need_engine_of "${group#engine-}" ;;
	podman) need_podman ;;
	programs) need_programs ;;
	compose) need_compose ;;
	prometheus) need_prometheus ;;
	wrangler) need_wrangler_tools ;;
	kernel-*) need_kernel "${group#kernel-}" ;;
	emulator-*) need_emulator "${group#emulator-}" ;;
	sysroot-*) need_sysroot "${group#sysroot-}" ;;
	e2e) need_workerd ;;
	bpftool-tcx) need_bpftool_tcx ;;
	bpftool) find_bpftool || die "no bpftool that runs here; run: tests/deps.sh build" ;;
	*) die "unknown group '$group'; there are: build test lint image bench distros deb engine engine-trixie podman programs compose wrangler e2e sysroot-ARCH emulator-ARCH kernel-SUITE bpftool bpftool-tcx" ;;
	esac
done
