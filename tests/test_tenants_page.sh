#!/bin/sh
# SPDX-License-Identifier: MIT
# The live page of the tenant server in a browser without a window: every tenant has its
# compartment, filled as far as it is, and filling while one looks; a kill shows; the form
# runs a script; and it says when the server is gone. Skipped where there is no Chromium
# (scripts/setup dev has it), curl or python3, or the server was not built.
set -eu
server=$(dirname "$BH_COMMAND")/../examples/tenants/tenants
skip()
{
	echo "skipped: $1" >&2
	exit 77
}
browser=$(command -v chromium) || skip "no chromium; scripts/setup dev installs it"
command -v curl >/dev/null || skip "no curl"
command -v python3 >/dev/null || skip "no python3"
[ -x "$server" ] || skip "$server was not built"
dir=$(mktemp -d)
mkfifo "$dir/url" "$dir/ask" "$dir/answer"
"$server" --port=0 --size=64M --tenant-max=8M >"$dir/url" &
server_pid=$!
browser_pid=
end()
{
	exec 3>&- 4<&-
	kill $server_pid 2>/dev/null || :
	[ -z "$browser_pid" ] || wait $browser_pid || :
	wait $server_pid || :
	rm -rf "$dir"
}
trap end EXIT
read -r url <"$dir/url"

# post PATH SCRIPT STATUS
post()
{
	status=$(curl -s -o "$dir/body" -w '%{http_code}' --data-binary "$2" "$url$1")
	[ "$status" = "$3" ] || {
		echo "$1: status $status: $(cat "$dir/body")" >&2
		exit 1
	}
}

# Until the expression is true in the page; see browse.py.
expect()
{
	printf '%s\n' "$1" >&3
	read -r answer <&4 || [ -n "$answer" ] || answer="the browser has gone: $(tail -3 "$dir/browser.log")"
	[ "$answer" = ok ] || {
		echo "$answer" >&2
		exit 1
	}
}

post 'session/alice?lang=lua' 'kept = ("x"):rep(2000000)' 200
post 'run/mallory?lang=js' 'var s = "x"; for (;;) s += s;' 507
python3 "$(dirname "$0")/browse.py" "$browser" "$dir/profile" "$url" \
	<"$dir/ask" >"$dir/answer" 2>"$dir/browser.log" &
browser_pid=$!
exec 3>"$dir/ask" 4<"$dir/answer"

card='(name => document.querySelector(`[data-tenant="${name}"]`))'
label="(name => $card(name).querySelector('svg').getAttribute('aria-label'))"
height="(name => Number($card(name).querySelector('.water').getAttribute('height')))"
by_id='(id => document.getElementById(id))'
text='(id => document.getElementById(id).textContent)'

# What was there when the page came.
expect "/^alice: [1-9][0-9] %\$/.test($label('alice'))"
expect "$card('alice').textContent.includes('1 sessions, 1 requests, 0 killed')"
expect "$label('mallory') === 'mallory: 0 %'"
expect "$card('mallory').textContent.includes('0 sessions, 1 requests, 1 killed')"
expect "$text('zone').includes(\"of the zone's 64.0M in use\")"
expect "$by_id('error').hidden"

# It fills while one looks.
expect "(window.before = $height('alice')) > 0"
post 'session/alice?lang=lua' 'more = ("y"):rep(3000000)' 200
expect "$height('alice') > window.before + 20"
expect "$card('alice').textContent.includes('2 requests')"
post 'session/bob?lang=lua' 'n = 1' 200
expect "$card('bob') !== null"

# The form: an answer, and what is said of a kill.
# submit TENANT LANGUAGE SCRIPT
submit()
{
	expect "($by_id('tenant').value = '$1', $by_id('lang').value = '$2',\
 $by_id('script').value = '$3', $by_id('form').requestSubmit(), true)"
}
submit carol lua 'print(6 * 7)'
expect "$text('answer') === '200\n42\n'"
submit carol js 'for (var s = "x"; ; ) s += s;'
expect "$text('answer').startsWith('507\n')"
expect "$text('answer').includes('/tenants/carol is limited to 8.0M')"
expect "$card('carol').classList.contains('killed') || $card('carol').textContent.includes('1 killed')"

# The server goes, and comes back.
kill $server_pid
wait $server_pid
expect "!$by_id('error').hidden && $text('error').includes('No answer from the server')"
submit carol lua 'print(1)'
expect "$text('answer') !== '…' && !$text('answer').startsWith('507')"
port=${url##*:}
"$server" --port="${port%/}" --size=64M --tenant-max=8M >"$dir/url" &
server_pid=$!
read -r url <"$dir/url"
expect "$by_id('error').hidden"
