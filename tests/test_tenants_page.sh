#!/bin/sh
# SPDX-License-Identifier: MIT
# The live page of the tenant server in a browser without a window: every tenant has its
# compartment, filled as far as it is, and a kill shows. Skipped where there is no Chromium
# or the server was not built.
set -eu
server=$(dirname "$BH_COMMAND")/../examples/tenants/tenants
browser=$(command -v chromium) && command -v curl >/dev/null || exit 77
[ -x "$server" ] || exit 77
dir=$(mktemp -d)
mkfifo "$dir/url"
"$server" --port=0 --size=64M --tenant-max=8M >"$dir/url" &
pid=$!
trap 'kill $pid 2>/dev/null || :; wait $pid || :; rm -rf "$dir"' EXIT
read -r url <"$dir/url"

# post PATH SCRIPT STATUS
post()
{
	status=$(curl -s -o "$dir/answer" -w '%{http_code}' --data-binary "$2" "$url$1")
	[ "$status" = "$3" ] || {
		echo "$1: status $status: $(cat "$dir/answer")" >&2
		exit 1
	}
}

post 'session/alice?lang=lua' 'kept = ("x"):rep(2000000)' 200
post 'run/mallory?lang=js' 'var s = "x"; for (;;) s += s;' 507
"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$dir/profile" \
	--virtual-time-budget=2000 --dump-dom "$url" >"$dir/page" 2>"$dir/browser.log" || {
	cat "$dir/browser.log" >&2
	exit 1
}

expect()
{
	grep -qE "$1" "$dir/page" || {
		echo "the page has no $1" >&2
		cat "$dir/page" >&2
		exit 1
	}
}

expect 'data-tenant="alice"'
expect 'aria-label="alice: [1-9][0-9] %"'
expect '1 sessions, 1 requests, 0 killed'
expect 'aria-label="mallory: 0 %"'
expect '0 sessions, 1 requests, 1 killed'
expect "of the zone's 64.0M in use"
expect 'id="error" role="alert" hidden'
