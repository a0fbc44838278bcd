#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# TLS interception on the kernel's own path. Real clients run in the application's namespace. The reference
# gateway declares that it takes plaintext, and speaks plain HTTP inside the tunnel.

load lib/testbed.bash
load lib/scenarios.bash

setup() {
	bed_start
	CA=$BED_DIR/ca/ca.crt
}

teardown() {
	bed_stop
}

sidecar() {
	bed_spawn app sidecar "$SIDESTEP" sidecar --gateway "$BED_HOST:8080" --tls-intercept \
		--ca-dir "$BED_DIR/ca"
	bed_wait_line sidecar "interception is live" 10
}

need() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# named SNI DESTINATION - prints how many such CONNECTs the gateway has logged. SNI null: without a name.
named() {
	local sni=\"$1\"
	[ "$1" != null ] || sni=null
	grep "\"destination\":\"$2\"" "$BED_DIR/gateway.log" | grep -c "\"sni\":$sni" || true
}

@test "the authority writes its files and leaves that openssl verify accepts" {
	gateway
	sidecar
	[ "$(stat -c %a "$BED_DIR/ca/ca.crt" "$BED_DIR/ca/ca.key" | tr '\n' ' ')" = "644 600 " ]
	for version in -tls1_2 -tls1_3; do
		bed_exec app openssl s_client -connect 192.0.2.7:443 -servername www.example.com \
			"$version" -CAfile "$CA" -verify_return_error </dev/null |
			openssl x509 >"$BED_DIR/leaf.pem"
		openssl verify -x509_strict -CAfile "$CA" -purpose sslserver \
			-verify_hostname www.example.com "$BED_DIR/leaf.pem"
		run openssl verify -CAfile "$CA" -verify_hostname other.example "$BED_DIR/leaf.pem"
		[ "$status" -ne 0 ]
	done
	bed_exec app openssl s_client -connect 192.0.2.7:443 -noservername </dev/null |
		openssl x509 >"$BED_DIR/leaf.pem"
	openssl verify -x509_strict -CAfile "$CA" -verify_ip 192.0.2.7 "$BED_DIR/leaf.pem"
	[ "$(named www.example.com 192.0.2.7:443)" = 2 ]
	[ "$(named null 192.0.2.7:443)" = 1 ]
}

@test "curl is intercepted by name and by literal address, v4 and v6, on any port" {
	need curl
	gateway
	sidecar
	run bed_exec app curl -sS -m 10 --cacert "$CA" --resolve a.example:8443:192.0.2.7 \
		https://a.example:8443/
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *192.0.2.7:8443* ]]
	run bed_exec app curl -sS -m 10 --cacert "$CA" https://192.0.2.8/
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *192.0.2.8:443* ]]
	run bed_exec app curl -sS -m 10 --cacert "$CA" 'https://[2001:db8:9::9]/'
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(named a.example 192.0.2.7:8443)" = 1 ]
	[ "$(named null 192.0.2.8:443)" = 1 ]
	[ "$(named null '\[2001:db8:9::9\]:443')" = 1 ]
}

@test "node's fetch is intercepted" {
	need node
	gateway
	sidecar
	bed_exec app sh -c 'echo "192.0.2.7 node.example" >"$1/hosts"' sh "$BED_DIR"
	run bed_exec app env NODE_EXTRA_CA_CERTS="$CA" unshare --mount sh -c '
		mount -o bind "$1/hosts" /etc/hosts && exec timeout 20 node -e "
			fetch(\"https://node.example/\").then(r => r.text()).then(console.log)"
		' sh "$BED_DIR"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(named node.example 192.0.2.7:443)" = 1 ]
}

@test "python's ssl verifies strictly and may send its ClientHello in small segments" {
	need python3
	gateway
	sidecar
	cat >"$BED_DIR/client.py" <<-'CLIENT'
		import socket, ssl, sys
		context = ssl.create_default_context(cafile=sys.argv[1])
		context.verify_flags |= ssl.VERIFY_X509_STRICT
		inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
		tls = context.wrap_bio(inner, outer, server_hostname="py.example")
		step = int(sys.argv[2])
		with socket.create_connection(("192.0.2.7", 443), timeout=10) as s:
		    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		    def call(function, *arguments):
		        while True:
		            try:
		                result = function(*arguments)
		            except ssl.SSLWantReadError:
		                result = None
		            data = outer.read()
		            for i in range(0, len(data), step):
		                s.sendall(data[i:i + step])
		            if result is not None:
		                return result
		            data = s.recv(65536)
		            inner.write(data) if data else inner.write_eof()
		    def handshake():
		        tls.do_handshake()
		        return True
		    call(handshake)
		    call(tls.write, b"GET / HTTP/1.1\r\nHost: py.example\r\nConnection: close\r\n\r\n")
		    print(call(tls.read, 65536).decode())
	CLIENT
	for step in 65536 100 1; do
		run bed_exec app timeout 20 python3 "$BED_DIR/client.py" "$CA" "$step"
		echo "$output"
		[ "$status" -eq 0 ]
		[[ $output == *192.0.2.7:443* ]]
	done
	[ "$(named py.example 192.0.2.7:443)" = 3 ]
}

@test "a ClientHello of 16 KiB is intercepted" {
	gateway
	sidecar
	# One protocol that we speak, and 62 unknown ones of 255 bytes each.
	names=http/1.1
	for i in $(seq 62); do
		names=$names,$(printf "%03d%0252d" "$i" 0)
	done
	run bed_exec app sh -c 'printf "GET / HTTP/1.1\r\nHost: big.example\r\nConnection: close\r\n\r\n" |
		timeout 20 openssl s_client -connect 192.0.2.7:443 -servername big.example -CAfile "$1" \
		-verify_return_error -alpn "$2" -ign_eof' sh "$CA" "$names"
	[ "$status" -eq 0 ]
	[[ $output == *"ALPN protocol: http/1.1"* ]]
	[ "$(named big.example 192.0.2.7:443)" = 1 ]
}

@test "Go's ClientHello with a post-quantum key share is intercepted, whole and in segments" {
	need python3
	gateway
	sidecar
	for segment in 4096 700 1; do
		run bed_exec app "$BED_REPO/tests/tls_hello.py" 192.0.2.7 443 go.example "$segment"
		echo "$output"
		[ "$output" = "ServerHello suite=0x1301 group=0x001d" ]
	done
	[ "$(named go.example 192.0.2.7:443)" = 3 ]
}

@test "after 202 TLS passes unchanged, and the client sees the origin's certificate" {
	need curl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=origin \
		-addext subjectAltName=DNS:origin.example -keyout "$BED_DIR/origin.key" \
		-out "$BED_DIR/origin.crt"
	bed_spawn host origin openssl s_server -accept 127.0.0.1:8443 -www \
		-cert "$BED_DIR/origin.crt" -key "$BED_DIR/origin.key"
	bed_until 5 bed_exec host sh -c 'ss -Hltn "sport = :8443" | grep -q .'
	gateway --map-all 127.0.0.1:8443 --status 202
	sidecar
	bed_exec app curl -sS -m 10 -o /dev/null --cacert "$BED_DIR/origin.crt" \
		--resolve origin.example:443:192.0.2.7 https://origin.example/
	[ "$(named origin.example 192.0.2.7:443)" = 1 ]
}

@test "the log names a client that does not trust the authority once, with the remedy" {
	need curl
	gateway
	sidecar
	for _ in 1 2 3; do
		run bed_exec app curl -sS -m 10 --resolve a.example:443:192.0.2.7 https://a.example/
		[ "$status" -eq 60 ]
	done
	bed_wait_line sidecar "install its certificate" 5
	[ "$(bed_log sidecar | grep -c "TLS handshake")" -le 2 ]
}
