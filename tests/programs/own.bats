#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ordinary programs through a sidecar. Each must end well, with the bytes that its server has, and the gateway must
# have had its connections and no others. The file runs under three names, one for each way to steer: own.bats,
# and its links agent.bats and nftables.bats. All tests of a file share one sidecar.

load ../lib/testbed.bash
load ../lib/scenarios.bash
load world.bash

setup_file() {
	[ "$(id -u)" = 0 ] || skip "needs root (network namespaces)"
	export BATS_TEST_TIMEOUT=$((300 * PROGRAMS_ROUNDS)) WAY=own
	case $BATS_TEST_FILENAME in
	*agent.bats) WAY=agent ;;
	*nftables.bats) WAY=nft ;;
	esac
	bed_start
	mkdir -p "$BED_BPFFS/sidestep"
	world_files
	world_start
	watch_line
	# The control: without Sidestep the connection passes beside the gateway, and the bed sees it.
	is "without a sidecar" "$(sum_of client curl -sS http://files.example/small)" "$(sum small)"
	is "packets seen without a sidecar" "$(beside)" -gt 0
	bed_exec host nft reset counters table inet watch >/dev/null
	gateway --server=false
	interception_start $WAY
}

teardown_file() {
	bed_stop
}

curl_redirects() {
	is "curl" "$(sum_of client curl -sSL http://files.example/moved)" "$(sum small)"
	served "1 80 files.example" "1 443 files.example"
}

@test "curl follows redirects between http and https" {
	need curl
	rounds curl_redirects
}

wget_redirects() {
	is "wget" "$(sum_of client wget -qO- http://files.example/moved)" "$(sum small)"
	served "1-2 80 files.example" "1-2 443 files.example"
}

@test "wget follows redirects between http and https" {
	need wget
	rounds wget_redirects
}

# transfers FILE - curl loads it down and up, over http and https.
transfers() {
	local scheme
	for scheme in http https; do
		is "$scheme download" "$(sum_of client curl -sS "$scheme://files.example/$1")" "$(sum "$1")"
		is "$scheme upload" "$(client curl -sS -T "$BED_DIR/www/$1" "$scheme://files.example/upload")" "$(sum "$1")"
	done
	served "2 80 files.example" "2 443 files.example"
}

@test "curl loads $PROGRAMS_BYTES bytes down and up, in the clear and by TLS" {
	need curl
	rounds transfers big
}

short_connections() {
	local report
	report=$(client hey -n "$PROGRAMS_CONNECTIONS" -c 50 -t 60 -disable-keepalive http://files.example/small)
	like "hey" "$report" "\[200\]	$((PROGRAMS_CONNECTIONS / 50 * 50)) responses"
	[[ $report != *"Error distribution"* ]] || fail "$report"
	served "$((PROGRAMS_CONNECTIONS / 50 * 50)) 80 files.example"
}

@test "a Go client makes $PROGRAMS_CONNECTIONS short connections" {
	need hey
	rounds short_connections
}

node_fetches() {
	# shellcheck disable=SC2016 # for node
	is "checksums" "$(client node -e '
		const { createHash } = require("crypto");
		const get = async () => createHash("sha256").update(
			Buffer.from(await (await fetch("https://files.example/middle")).arrayBuffer())).digest("hex");
		Promise.all(Array.from({ length: 8 }, get)).then((sums) => console.log(...new Set(sums)));')" "$(sum middle)"
	served "8 443 files.example"
}

@test "node fetches by 8 connections at once" {
	need node
	rounds node_fetches
}

java_fetches() {
	is "checksums" "$(client java "-Djavax.net.ssl.trustStore=$BED_DIR/trust" -Djavax.net.ssl.trustStorePassword=changeit \
		"$PROGRAMS_DIR/Fetch.java" https://files.example/middle 4)" "$(sum middle)"
	served "8 443 files.example"
}

@test "a JVM fetches by each of its clients, 4 connections at once" {
	need java javac keytool
	client keytool -importcert -noprompt -alias world -file "$BED_DIR/tls.crt" -keystore "$BED_DIR/trust" \
		-storepass changeit 2>/dev/null
	rounds java_fetches
}

events() {
	is "events" "$(client curl -sSN https://files.example/events)" $'data: first\n\ndata: last'
	served "1 443 files.example"
}

@test "server-sent events arrive before and after $PROGRAMS_SILENCE silent seconds" {
	need curl
	rounds events
}

websocket() {
	is "websocket" "$(client /usr/bin/python3 "$PROGRAMS_DIR/websocket.py" talk ws://files.example:8080 "$PROGRAMS_SILENCE")" ok
	served "1 8080 files.example:8080"
}

@test "a WebSocket echoes messages before and after $PROGRAMS_SILENCE silent seconds" {
	/usr/bin/python3 -c "import websockets" || skip "python3-websockets is not installed"
	bed_spawn world websocket /usr/bin/python3 "$PROGRAMS_DIR/websocket.py" serve 8080
	bed_wait_line websocket ready 10
	rounds websocket
}

mail() {
	noise 1000000 mail | base64 | sed 's/$/\r/' >"$BED_DIR/letter"
	client curl -sS --crlf smtp://files.example --mail-from a@files.example --mail-rcpt b@files.example -T "$BED_DIR/letter"
	is "mail" "$(tr -d '\r' <"$BED_DIR/mail" | sum_of cat)" "$(tr -d '\r' <"$BED_DIR/letter" | sum_of cat)"
	served "1 25"
}

@test "curl sends mail, where the server speaks first" {
	need curl
	rounds mail
}

# git_cycle URL CONNECTION - clones, pushes and clones again. The commits of each clone are complete.
git_cycle() {
	local work=$BED_DIR/clone
	local -a by_ssh=(env "GIT_SSH_COMMAND=sh $BED_DIR/ssh/client")
	rm -rf "$work" "$work-2"
	client "${by_ssh[@]}" git clone -q "$1" "$work"
	is "big file" "$(sum_of cat "$work/big")" "$(sum_of cat "$BED_DIR/repository/big")"
	noise $((8 << 20)) "$1 $EPOCHREALTIME" >"$work/change"
	client git -C "$work" add change
	client git -C "$work" commit -qm change
	client "${by_ssh[@]}" git -C "$work" push -q
	client "${by_ssh[@]}" git clone -q "$1" "$work-2"
	client git -C "$work-2" fsck --no-progress
	is "commit" "$(client git -C "$work-2" rev-parse HEAD)" "$(client git -C "$work" rev-parse HEAD)"
	served "3 $2"
}

@test "git clones and pushes over https" {
	need git
	[ -e "$BED_DIR/repository" ] || repository
	rounds git_cycle https://git.example/git/project.git "443 git.example"
}

@test "git clones and pushes over ssh, where the server speaks first" {
	need git ssh
	need_server sshd
	[ -e "$BED_DIR/repository" ] || repository
	ssh_start
	rounds git_cycle "ssh://root@git.example$BED_DIR/git/project.git" 22
}

apt_update() {
	local folder=$BED_DIR/apt
	rm -rf "$folder"/{lists,cache}/* "$BED_DIR/home/parcel"*
	mkdir -p "$folder"/{lists/partial,cache/archives/partial}
	client apt-get -qq -o APT::Update::Error-Mode=any update
	client sh -ec 'cd "$HOME" && apt-get -qq download parcel'
	is "package" "$(sum_of cat "$BED_DIR/home/parcel"*.deb)" "$(sum_of cat "$BED_DIR/www/apt/parcel.deb")"
	served "2 443 files.example"
}

@test "apt updates its lists and downloads a package" {
	need apt-get
	[ -e "$BED_DIR/parcel" ] || parcels
	rounds apt_update
}

pip_install() {
	rm -rf "$BED_DIR/home/pip"
	client /usr/bin/python3 -m pip install -q --no-cache-dir --disable-pip-version-check --index-url https://files.example/pip \
		--target "$BED_DIR/home/pip" parcel
	is "package" "$(sum_of cat "$BED_DIR/home/pip/parcel/content")" "$(sum_of cat "$BED_DIR/parcel/content")"
	served "1 443 files.example"
}

@test "pip installs a package" {
	/usr/bin/python3 -m pip --version >/dev/null || skip "python3-pip is not installed"
	[ -e "$BED_DIR/parcel" ] || parcels
	rounds pip_install
}

npm_install() {
	rm -rf "$BED_DIR/home/.npm" "$BED_DIR/home/npm"
	client npm install --prefix "$BED_DIR/home/npm" --registry https://files.example/npm/ --no-audit --no-fund \
		--no-update-notifier --loglevel warn parcel
	is "package" "$(sum_of cat "$BED_DIR/home/npm/node_modules/parcel/content")" "$(sum_of cat "$BED_DIR/parcel/content")"
	served "1-2 443 files.example"
}

@test "npm installs a package" {
	need npm
	[ -e "$BED_DIR/parcel" ] || parcels
	rounds npm_install
}

psql_copies() {
	local psql=(psql -qAtX -h files.example -U postgres -v ON_ERROR_STOP=1)
	seq 300000 | sed 's/$/,some text of the row/' >"$BED_DIR/rows"
	client "${psql[@]}" -c "drop table if exists rows; create table rows (number int, line text)"
	client "${psql[@]}" -c "\copy rows from '$BED_DIR/rows' csv"
	is "rows" "$(sum_of client "${psql[@]}" -c "\copy (select * from rows order by number) to stdout csv")" \
		"$(sum_of cat "$BED_DIR/rows")"
	is "silence" "$(client "${psql[@]}" -c "select 1 from pg_sleep($PROGRAMS_SILENCE)")" 1
	served "4 5432"
}

@test "psql copies rows in and out, and waits $PROGRAMS_SILENCE silent seconds for an answer" {
	need psql
	need_server postgres
	postgres_start
	rounds psql_copies
}

redis_talks() {
	local cli=(redis-cli -h files.example)
	client "${cli[@]}" -x set big <"$BED_DIR/www/middle"
	is "value" "$(sum_of client "${cli[@]}" --no-raw strlen big)" "$(sum_of echo "(integer) $((16 << 20))")"
	is "range" "$(client "${cli[@]}" getrange big 0 9999999 | head -c 10000000 | sum_of cat)" \
		"$(head -c 10000000 "$BED_DIR/www/middle" | sum_of cat)"
	like "benchmark" "$(client redis-benchmark -h files.example -n 50000 -c 50 -t set -q --csv)" '"SET",'
	served "53-55 6379"
}

@test "redis-cli and redis-benchmark store and read values" {
	need redis-cli redis-benchmark
	need_server redis-server
	redis_start
	rounds redis_talks
}

maria_copies() {
	local sql=(mariadb --no-defaults -h files.example -u root --skip-ssl --batch --skip-column-names --local-infile=1)
	seq 300000 | sed 's/$/,some text of the row/' >"$BED_DIR/rows"
	client "${sql[@]}" -e "create or replace database test; create table test.rows (number int, line text);
		load data local infile '$BED_DIR/rows' into table test.rows fields terminated by ','"
	is "rows" "$(sum_of client "${sql[@]}" -e "select concat(number, ',', line) from test.rows order by number")" \
		"$(sum_of cat "$BED_DIR/rows")"
	is "silence" "$(client "${sql[@]}" -e "select sleep($PROGRAMS_SILENCE)")" 0
	served "3 3306"
}

@test "mariadb copies rows in and out, where the server speaks first" {
	need mariadb
	need_server mariadbd
	maria_start
	rounds maria_copies
}

# image_builds - an engine inside builds an image, whose steps load files from the world.
image_builds() {
	local build=$BED_DIR/build
	mkdir -p "$build"
	cp "$BED_DIR/tls.crt" "$build"
	cat >"$build/Dockerfile" <<-DOCKERFILE
		FROM base
		COPY tls.crt /tls.crt
		RUN curl -sS --cacert /tls.crt https://files.example/middle -o /middle
		RUN curl -sS http://files.example/small -o /small
		RUN echo "$(sum middle)  /middle" | sha256sum -c && echo "$(sum small)  /small" | sha256sum -c
	DOCKERFILE
	dk build --no-cache -t built "$build"
	served "1 443 files.example" "1 80 files.example"
}

@test "docker builds an image inside, whose steps load files" {
	echo "nameserver 1.1.1.1" >"$BED_DIR/resolv"
	engine_start_in app
	engine_exec cp "$BED_DIR/resolv" /etc/resolv.conf
	engine_image base /bin/sh /usr/bin/curl /usr/bin/sha256sum
	bed_until 10 grep -q "inner device docker0" "$BED_DIR/sidecar.log"
	rounds image_builds
}

# with_mtu MTU - the container's network has this MTU, from before the sidecar starts.
with_mtu() {
	interception_stop
	bed_exec host ip link set app-eth0 mtu "$1"
	bed_exec app ip link set eth0 mtu "$1"
	bed_exec host ip link set neighbour-eth0 mtu "$1"
	bed_exec host ip link set br0 mtu "$1"
	interception_start $WAY
	[ -e "$BED_DIR/repository" ] || repository
	rounds transfers quarter
	rounds git_cycle https://git.example/git/project.git "443 git.example"
	rounds node_fetches
}

@test "MTU 1280: transfers, git and TLS" {
	need curl git node
	with_mtu 1280
}

@test "MTU 1400: transfers, git and TLS" {
	need curl git node
	with_mtu 1400
}

@test "MTU 9000: transfers, git and TLS" {
	need curl git node
	with_mtu 9000
}
