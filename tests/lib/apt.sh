# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# An apt of the project's own, for packages of another suite or architecture. They are unpacked and never
# installed. tests/deps.sh and tests/distros/check.sh source this. State, lists and downloads are below the
# folder that is given. The machine's configuration is read and never written.

# apt_keyring - prints the file with the keys of the machine's distribution.
apt_keyring() {
	for keyring in /usr/share/keyrings/"$(. /etc/os-release && echo "${ID:-debian}")"-archive-keyring.[gp]*; do
		[ ! -e "$keyring" ] || break
	done
	printf '%s\n' "$keyring"
}

# apt_sources SUITE [OPTIONS] - prints the machine's package sources of its own release, with SUITE in place
# of that release, as lines of a sources.list. SUITE is a code name of the same distribution. OPTIONS come
# behind the word deb, such as [arch=arm64]. Only the release, -updates and -security are printed, because
# every suite has these.
apt_sources() {
	own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# A source may name the release by its code name or as "stable".
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(COMPONENT) $(RELEASE) $(CODENAME)' 'Created-By: Packages' |
		sort -u | while read -r uri component release codename; do
		for name in "$release" "$codename"; do
			case ${name#"$own"} in
			"" | -updates | -security)
				echo "deb ${2:+$2 }$uri $1${name#"$own"} $component"
				break
				;;
			esac
		done
	done
}

# apt_open FOLDER SUITE ARCHITECTURE - opens such an apt: exports APT_CONFIG, so that apt-get and apt-cache
# work on it, and reads the lists. Nothing counts as installed there, so that a simulated install names
# everything down to libc. Status 1 with apt's message when the lists cannot be read.
apt_open() {
	folder=$1 suite=$2 architecture=$3
	mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/parts"
	: >"$folder/status"
	apt_sources "$suite" "[arch=$architecture signed-by=$(apt_keyring)]" >"$folder/sources.list"
	cat >"$folder/apt.conf" <<-CONFIGURATION
		Dir::State "$folder";
		Dir::State::status "$folder/status";
		Dir::Cache "$folder/cache";
		Dir::Etc::sourcelist "$folder/sources.list";
		Dir::Etc::sourceparts "$folder/parts";
		APT::Architecture "$architecture";
		APT::Architectures "$architecture";
		APT::Sandbox::User "root";
		Acquire::Retries "3";
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
	CONFIGURATION
	export APT_CONFIG="$folder/apt.conf"
	[ -s "$folder/sources.list" ] || {
		echo "apt: this machine has no package source of its release '$own'" >&2
		return 1
	}
	apt-get -qq -o APT::Update::Error-Mode=any update >&2
}

# apt_closure PACKAGE... - prints them and all they depend on that is not installed, one a line.
apt_closure() {
	apt-get -qq --simulate --no-install-recommends install "$@" | sed -n 's/^Inst \([^ ]*\).*/\1/p'
}

# apt_unpack ROOT PACKAGE... - downloads exactly these and unpacks them into ROOT. Newer packages have all their
# files below /usr, so ROOT gets links such as lib -> usr/lib.
apt_unpack() {
	root=$1
	shift
	mkdir -p "$root" "$root.debs"
	(cd "$root.debs" && apt-get -qq download "$@" >&2) || return 1
	for deb in "$root.debs"/*.deb; do
		dpkg-deb -x "$deb" "$root" || return 1
	done
	rm -rf "$root.debs"
	for folder in bin sbin lib lib64; do
		[ -e "$root/$folder" ] || [ ! -d "$root/usr/$folder" ] || ln -s "usr/$folder" "$root/$folder"
	done
}
