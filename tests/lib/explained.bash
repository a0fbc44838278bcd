# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Asks `sidestep explain` about a connection of the application before the test opens it, and holds the answer against
# what then happens. Part of scenarios.bash.
#
# explain makes the programs and rules count its own packets. Its answer says how many, and `counter` takes
# them off. So a test that counts exactly also tests that answer.

# _explain_end ARGUMENT... - sets the array `question` to explain's arguments for the connection that `peer connect` and
# `peer udp` open with theirs.
_explain_end() {
	local address=$1 port=$2 source=
	question=()
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		--bind-device) question+=(--device "$2") ;;
		--source) source=$2 ;;
		esac
		shift
	done
	[ -z "$source" ] || question+=("$source")
	[[ $address != *:* ]] || address="[$address]"
	question+=("$address:$port")
}

# _explain WHERE ARGUMENT... - asks in namespace WHERE, and prints the outcome. Status 1 where nothing steers.
_explain() {
	local where=$1
	shift
	bed_exec "$where" "$SIDESTEP" explain --json --ask-gateway=false "$@" >"$BED_DIR/explained.json" \
		2>>"$BED_DIR/explain.log" || return
	awk '/"counted": [{]/ { inside = 1; next } /[}]/ { inside = 0 } inside { print }' "$BED_DIR/explained.json" |
		tr -d '",:' >>"$BED_DIR/explain.counted"
	sed -n 's/^  "outcome": "\(.*\)",$/\1/p' "$BED_DIR/explained.json"
}

# explained NAME - prints how often explain itself has counted this counter since the sidecar started.
explained() {
	[ -f "$BED_DIR/explain.counted" ] || { echo 0; return; }
	awk -v "name=$1" '$1 == name { sum += $2 } END { print sum + 0 }' "$BED_DIR/explain.counted"
}

# explained_anew - a sidecar starts, whose counters are 0.
explained_anew() {
	rm -f "$BED_DIR/explain.counted"
}

# _disagrees TEXT - makes the test fail when its bed stops, whatever the test expects of the connection.
_disagrees() {
	printf 'explain says "%s": %s\n' "$outcome" "$*" >>"$BED_DIR/complaints"
	cat "$BED_DIR/explained.json" >>"$BED_DIR/complaints"
}

# _arrived END - prints how many CONNECTs for it the gateways have logged, whatever their names are.
_arrived() {
	cat "$BED_DIR"/*.log | grep -c "\"destination\":\"$1\"" || true
}

# connect ADDRESS PORT [ARGUMENT...] - opens a connection of the application (peer connect). The gateway sees it if and
# only if explain has said so.
connect() {
	local outcome status=0 before after end=$1:$2
	local -a question
	[[ $1 != *:* ]] || end="\[$1\]:$2"
	_explain_end "$@"
	outcome=$(_explain app "${question[@]}") || outcome=nothing
	before=$(_arrived "$end")
	bed_exec app "$PEER" connect "$@" || status=$?
	after=$(_arrived "$end")
	case $outcome in
	intercepted) [ "$status" != 0 ] || [ "$after" -gt "$before" ] || _disagrees "the gateway has not seen $*" ;;
	direct | local) [ "$after" = "$before" ] || _disagrees "the gateway has seen $*" ;;
	refused | dropped | unreachable)
		[ "$status" != 0 ] || _disagrees "connected: $*"
		[ "$after" = "$before" ] || _disagrees "the gateway has seen $*"
		;;
	unknown) _disagrees "that is no answer: $*" ;;
	esac
	return "$status"
}

# datagram ADDRESS PORT [ARGUMENT...] - sends a datagram of the application's (peer udp) to somebody who answers.
datagram() {
	local outcome status=0
	local -a question
	_explain_end "$@"
	outcome=$(_explain app --udp "${question[@]}") || outcome=nothing
	bed_exec app "$PEER" udp "$@" || status=$?
	case $outcome in
	direct | local) [ "$status" = 0 ] || _disagrees "no answer: $*" ;;
	refused | dropped | unreachable) [ "$status" != 0 ] || _disagrees "an answer: $*" ;;
	*) _disagrees "that is no answer about a datagram: $*" ;;
	esac
	return "$status"
}

# query NAME TYPE @RESOLVER [ARGUMENT...] - the application asks a resolver (peer dns).
query() {
	local outcome status=0 before after resolver=${3#@}
	[[ $resolver != *:* ]] || resolver="[$resolver]"
	outcome=$(_explain app --udp "$resolver:53") || outcome=nothing
	before=$(counter steer_dns)
	bed_exec app "$PEER" dns "$@" || status=$?
	after=$(counter steer_dns)
	if [ "$outcome" = intercepted ]; then
		[ "$after" -gt "$before" ] || _disagrees "the proxy has not seen $*"
	else
		[ "$after" = "$before" ] || _disagrees "the proxy has seen $*"
	fi
	return "$status"
}
