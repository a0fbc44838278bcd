# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A bed with the servers of the internet in world and one sidecar in the application's namespace, for programs.bats.
# Every name resolves to 192.0.2.7 and 2001:db8::7, where the servers listen.
#
# These variables make a run longer or shorter:
#   PROGRAMS_BYTES        of the big file (1 GiB)
#   PROGRAMS_CONNECTIONS  short ones (30,000)
#   PROGRAMS_SILENCE      seconds in which a connection says nothing (20)
#   PROGRAMS_ROUNDS       how often each program runs (1)
: "${PROGRAMS_BYTES:=$((1 << 30))}" "${PROGRAMS_CONNECTIONS:=30000}" "${PROGRAMS_SILENCE:=20}" "${PROGRAMS_ROUNDS:=1}"

PROGRAMS_DIR=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

# need PROGRAM... - skips the test when one is missing.
need() {
	local program
	for program; do
		PATH=$CLIENT_PATH command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# server_path PROGRAM - prints where a server's program is: unpacked by tests/deps.sh, or the machine's own.
server_path() {
	local path
	for path in "$BED_DIR"/unpacked/usr/{bin,sbin,lib/postgresql/*/bin}/"$1" /usr/{bin,sbin,lib/postgresql/*/bin}/"$1"; do
		if [ -x "$path" ]; then
			echo "$path"
			return
		fi
	done
	return 1
}

# need_server PROGRAM - skips the test when it is missing.
need_server() {
	server_path "$1" >/dev/null || skip "the server $1 is not installed or unpacked (tests/deps.sh programs)"
}

# with_libraries COMMAND... - runs it with the shared libraries that were unpacked.
with_libraries() {
	local path
	path=$(printf '%s:' "$BED_DIR"/unpacked/usr/lib/*-linux-gnu*)
	LD_LIBRARY_PATH=${path%:} "$@"
}

# noise BYTES [SEED] - prints bytes that do not compress and do not repeat.
noise() {
	openssl enc -aes-128-ctr -nosalt -pass "pass:${2:-noise}" -pbkdf2 -iter 1 </dev/zero 2>/dev/null | head -c "$1"
}

# sum_of COMMAND... - prints the SHA-256 of what it prints. Status: the command's.
sum_of() (
	set -o pipefail
	"$@" | sha256sum | cut -d' ' -f1
)

# The programs do not see the machine's own proxies, certificates, registries and resolvers.
CLIENT_PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
client() {
	# shellcheck disable=SC2016 # for the inner shell
	bed_exec app env -i "PATH=$CLIENT_PATH" "HOME=$BED_DIR/home" LC_ALL=C.UTF-8 GIT_CONFIG_NOSYSTEM=1 \
		"CURL_CA_BUNDLE=$BED_DIR/tls.crt" "SSL_CERT_FILE=$BED_DIR/tls.crt" "GIT_SSL_CAINFO=$BED_DIR/tls.crt" \
		"NODE_EXTRA_CA_CERTS=$BED_DIR/tls.crt" "PIP_CERT=$BED_DIR/tls.crt" PIP_CONFIG_FILE=/dev/null \
		"APT_CONFIG=$BED_DIR/apt/apt.conf" unshare --mount sh -c '
			mount --bind "$0/resolv.conf" /etc/resolv.conf &&
				mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf && exec "$@"' "$BED_DIR" "$@"
}

# world_files - makes what the servers need, and what they serve.
world_files() {
	mkdir -p "$BED_DIR"/{home,www,git,apt}
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=files.example \
		-addext subjectAltName=DNS:files.example,DNS:git.example \
		-keyout "$BED_DIR/tls.key" -out "$BED_DIR/tls.crt" 2>/dev/null
	echo "nameserver 1.1.1.1" >"$BED_DIR/resolv.conf"
	echo "hosts: files dns" >"$BED_DIR/nsswitch.conf"
	printf '[user]\n\tname = Tester\n\temail = tester@git.example\n' >"$BED_DIR/home/.gitconfig"
	echo "ca_certificate = $BED_DIR/tls.crt" >"$BED_DIR/home/.wgetrc"
	noise 100000 small >"$BED_DIR/www/small"
	noise $((16 << 20)) middle >"$BED_DIR/www/middle"
	noise $((PROGRAMS_BYTES / 4)) quarter >"$BED_DIR/www/quarter"
	noise "$PROGRAMS_BYTES" big >"$BED_DIR/www/big"
	(cd "$BED_DIR/www" && sha256sum small middle quarter big) >"$BED_DIR/sums"
}

# sum NAME - prints the checksum of a file of the web server.
sum() {
	awk -v "name=$1" '$2 == name { print $1 }' "$BED_DIR/sums"
}

# parcels - packs a file of noise for apt, pip and npm, and writes their indexes.
parcels() {
	local www=$BED_DIR/www parcel=$BED_DIR/parcel
	mkdir -p "$parcel/deb/DEBIAN" "$parcel/npm/package" "$www"/{apt,pip/parcel,npm,tarballs} \
		"$BED_DIR"/apt/{lists,cache/archives,parts}
	noise $((8 << 20)) parcel >"$parcel/content"

	printf '%s\n' "Package: parcel" "Version: 1.0" "Architecture: all" "Maintainer: Tester <tester@git.example>" \
		"Description: a file of noise" >"$parcel/deb/DEBIAN/control"
	cp "$parcel/content" "$parcel/deb/content"
	dpkg-deb --root-owner-group -Znone -b "$parcel/deb" "$www/apt/parcel.deb" >/dev/null
	{
		cat "$parcel/deb/DEBIAN/control"
		printf '%s\n' "Filename: ./parcel.deb" "Size: $(stat -c %s "$www/apt/parcel.deb")" \
			"SHA256: $(sum_of cat "$www/apt/parcel.deb")"
	} >"$www/apt/Packages"
	touch "$BED_DIR/apt/status"
	echo "deb [trusted=yes] https://files.example/apt ./" >"$BED_DIR/apt/sources.list"
	printf '%s "%s";\n' Dir::State "$BED_DIR/apt" Dir::State::status "$BED_DIR/apt/status" Dir::Cache "$BED_DIR/apt/cache" \
		Dir::Etc::sourcelist "$BED_DIR/apt/sources.list" Dir::Etc::sourceparts "$BED_DIR/apt/parts" \
		Acquire::https::CAInfo "$BED_DIR/tls.crt" APT::Sandbox::User root >"$BED_DIR/apt/apt.conf"

	python3 - "$parcel/content" "$www/pip/parcel" <<-'WHEEL'
		import sys, zipfile
		name = "parcel-1.0-py3-none-any.whl"
		with zipfile.ZipFile(f"{sys.argv[2]}/{name}", "w") as wheel:
		    wheel.write(sys.argv[1], "parcel/content")
		    info = "parcel-1.0.dist-info"
		    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n")
		    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
		    wheel.writestr(f"{info}/RECORD", "")
		with open(f"{sys.argv[2]}/index.html", "w") as index:
		    index.write(f'<!DOCTYPE html><a href="{name}">{name}</a>')
	WHEEL

	cp "$parcel/content" "$parcel/npm/package/content"
	echo '{"name": "parcel", "version": "1.0.0"}' >"$parcel/npm/package/package.json"
	tar -C "$parcel/npm" -czf "$www/tarballs/parcel-1.0.0.tgz" package
	cat >"$www/npm/parcel" <<-INDEX
		{"name": "parcel", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "parcel", "version": "1.0.0",
		"dist": {"tarball": "https://files.example/tarballs/parcel-1.0.0.tgz",
		"integrity": "sha512-$(openssl dgst -sha512 -binary "$www/tarballs/parcel-1.0.0.tgz" | base64 -w0)"}}}}
	INDEX
}

# repository - makes a repository of many small files and a big one, for git.
repository() {
	local work=$BED_DIR/repository number
	mkdir -p "$work/files"
	for ((number = 0; number < 2000; number++)); do
		echo "file $number" >"$work/files/$number"
	done
	noise $((16 << 20)) repository >"$work/big"
	HOME=$BED_DIR/home git -C "$work" -c init.defaultBranch=main init -q
	HOME=$BED_DIR/home git -C "$work" add .
	HOME=$BED_DIR/home git -C "$work" -c commit.gpgSign=false commit -qm first
	git clone -q --bare "$work" "$BED_DIR/git/project.git"
	git -C "$BED_DIR/git/project.git" config http.receivepack true
}

# ssh_start - starts an SSH server for root, with keys of its own.
ssh_start() {
	local ssh=$BED_DIR/ssh
	mkdir -p "$ssh" "$BED_DIR/home/.ssh"
	ssh-keygen -q -t ed25519 -N "" -f "$ssh/host"
	ssh-keygen -q -t ed25519 -N "" -f "$ssh/key"
	echo "git.example $(<"$ssh/host.pub")" >"$ssh/known"
	echo "root:*:19000:0:99999:7:::" >"$ssh/shadow"
	{
		grep -v ^sshd: /etc/passwd
		echo "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin"
	} >"$ssh/passwd"
	printf '%s\n' "Port 22" "HostKey $ssh/host" "AuthorizedKeysFile $ssh/key.pub" "StrictModes no" "UsePAM no" \
		"PidFile none" >"$ssh/config"
	# ssh itself reads the user's home from passwd, so the test names its files.
	echo "exec ssh -F none -i $ssh/key -o UserKnownHostsFile=$ssh/known -o BatchMode=yes \"\$@\"" >"$ssh/client"
	# shellcheck disable=SC2016 # for the inner shell
	with_libraries bed_spawn world sshd unshare --mount sh -c '
		mount -t tmpfs none /run && mkdir /run/sshd && mount --bind "$0/shadow" /etc/shadow &&
			mount --bind "$0/passwd" /etc/passwd && exec "$1" -D -e -f "$0/config"' "$ssh" "$(server_path sshd)"
	bed_until 10 bed_listening world 22
}

# postgres_start - starts PostgreSQL as an ordinary user, as it demands.
postgres_start() {
	local data=$BED_DIR/postgres
	install -d -o nobody "$data"
	with_libraries setpriv --reuid nobody --clear-groups "$(server_path initdb)" -D "$data" -U postgres -A trust --no-sync >/dev/null
	echo "host all all all trust" >>"$data/pg_hba.conf"
	with_libraries bed_spawn world postgres setpriv --reuid nobody --clear-groups "$(server_path postgres)" -D "$data" \
		-c listen_addresses='*' -c unix_socket_directories= -c fsync=off
	bed_wait_line postgres "ready to accept connections" 20
}

# maria_start - starts MariaDB as an ordinary user, as it demands. Nobody needs a password, so it has no tables of users.
maria_start() {
	local server base
	server=$(server_path mariadbd)
	base=${server%/sbin/*}
	install -d -o nobody "$BED_DIR/maria"
	with_libraries bed_spawn world maria setpriv --reuid nobody --clear-groups "$server" --no-defaults --basedir="$base" \
		--datadir="$BED_DIR/maria" --bind-address='*' --socket="$BED_DIR/maria/socket" --skip-grant-tables \
		--skip-networking=0
	bed_wait_line maria "ready for connections" 20
}

redis_start() {
	with_libraries bed_spawn world redis "$(server_path redis-server)" --bind 0.0.0.0 "::" --protected-mode no --save "" --dir "$BED_DIR"
	bed_wait_line redis "Ready to accept connections" 10
}

# world_start - gives the world its address, and starts its web, mail and name servers.
world_start() {
	if [ -d "$BED_REPO/build/programs" ]; then
		# A server that drops root's rights may be unable to pass through the project's folder.
		mkdir "$BED_DIR/unpacked"
		mount --bind "$BED_REPO/build/programs" "$BED_DIR/unpacked"
	fi
	bed_exec world ip address add 192.0.2.7/32 dev lo
	bed_exec world ip address add 2001:db8::7/128 dev lo nodad
	resolver --log "$BED_DIR/names"
	bed_spawn world web env -u NODE_EXTRA_CA_CERTS node "$PROGRAMS_DIR/world.mjs" "$BED_DIR" "$PROGRAMS_SILENCE"
	bed_wait_line web ready 20
}

# watch_line - counts the packets that the host forwards from the application's network to the world. The gateway's own
# are sent by the host itself. The sidecar asks the resolver directly.
watch_line() {
	bed_exec host nft -f - <<-RULES
		table inet watch {
			counter beside { }
			chain forward {
				type filter hook forward priority 0
				ip daddr 1.1.1.1 udp dport 53 accept
				iifname br0 oifname uplink counter name beside
			}
		}
	RULES
}

# beside - prints how many packets have passed beside the gateway.
beside() {
	bed_exec host nft list counter inet watch beside | awk '/packets/ { print $2 }'
}

# interception_start WAY - starts the sidecar, and the host's agent if it is the way.
interception_start() {
	"$1_sidecar" --sni-hint
}

interception_stop() {
	bed_kill sidecar
	bed_kill agent
}

# idle - neither the application nor the sidecar has a connection. Those in TIME-WAIT are not listed.
idle() {
	[ -z "$(bed_exec app ss -Htn)" ]
}

# begin - what the gateway logs from here on belongs to the next program.
begin() {
	stat -c %s "$BED_DIR/gateway.log" >"$BED_DIR/begin"
}

# connects - prints the CONNECTs since then as "COUNT PORT NAME", and the status unless it is 200. Another address than
# the servers' is printed in full.
connects() {
	tail -c "+$(($(<"$BED_DIR/begin") + 1))" "$BED_DIR/gateway.log" | sed -nE \
		-e 's/^\{"destination":"([^"]*)","source":"[^"]*","sni":"?([^",]*)"?,"hostname":"?([^",]*)"?,.*"status":([0-9]+).*/\1 \2 \3 \4/' \
		-e 's/^(192\.0\.2\.7|\[2001:db8::7\])://; s/ null//g; s/ 200$//; p' | sort -n | uniq -c | sed 's/^ *//'
}

# served LINE... - the gateway had exactly these CONNECTs, nothing passed beside it, nobody warned, and all connections
# have ended. A count may be a range, as in 1-3.
served() {
	local line count name found range
	found=$(connects)
	for line; do
		range=${line%% *} name=${line#* }
		count=$(awk -v "name=$name" '{ n = $1; $1 = ""; if (substr($0, 2) == name) print n }' <<<"$found")
		[ "${count:-0}" -ge "${range%-*}" ] && [ "${count:-0}" -le "${range#*-}" ] ||
			fail "CONNECTs: wanted '$line', the gateway had: $found"
	done
	is "kinds of CONNECTs ($found)" "$(wc -l <<<"$found")" $#
	is "packets beside the gateway" "$(beside)" 0
	quiet
	bed_until 20 idle
}

# quiet - no part of Sidestep has logged a warning or an error.
quiet() {
	local name lines
	for name in sidecar agent gateway; do
		[ -e "$BED_DIR/$name.log" ] || continue
		lines=$(grep -vE '^([0-9TZ:.-]+ )?sidestep: info: |^\{' "$BED_DIR/$name.log" || true)
		is "warnings of the $name" "$lines" ""
	done
}

# rounds FUNCTION [ARGUMENT...] - runs a program's test as often as is asked for.
rounds() {
	local round
	for ((round = 0; round < PROGRAMS_ROUNDS; round++)); do
		begin
		"$@"
	done
}
