# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# An apt of the project's own, beside the machine's: for packages of another suite or architecture
# that are to be unpacked, never installed. Sourced by tests/deps.sh. State, lists and downloads are
# below the folder that is given; the machine's configuration is read, not written.

# apt_open FOLDER SUITE ARCHITECTURE - the package sources of the machine's own release, with SUITE
# (a code name, or the machine's own) and ARCHITECTURE instead; exports APT_CONFIG, so that apt-get
# and apt-cache work on it, and reads the lists. To such an apt nothing is installed, so that a
# simulated install names everything down to libc. Status 1 with apt's message when the lists
# cannot be had.
apt_open() {
	folder=$1 suite=$2 architecture=$3
	own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	keyring=/usr/share/keyrings/$(. /etc/os-release && echo "${ID:-debian}")-archive-keyring.gpg
	mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial" "$folder/parts"
	: >"$folder/status"
	# Only what belongs to the release: release, -updates and -security, which every suite has.
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		sort -u | while read -r uri release component; do
		case ${release#"$own"} in
		"" | -updates | -security)
			printf 'deb [arch=%s signed-by=%s] %s %s%s %s\n' "$architecture" "$keyring" \
				"$uri" "$suite" "${release#"$own"}" "$component"
			;;
		esac
	done >"$folder/sources.list"
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

# apt_unpack ROOT PACKAGE... - downloads exactly these and unpacks them into ROOT.
apt_unpack() {
	root=$1
	shift
	mkdir -p "$root" "$root.debs"
	(cd "$root.debs" && apt-get -qq download "$@" >&2) || return 1
	for deb in "$root.debs"/*.deb; do
		dpkg-deb -x "$deb" "$root" || return 1
	done
	rm -rf "$root.debs"
}
