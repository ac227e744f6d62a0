#!/bin/sh
# SPDX-License-Identifier: MIT
# Every example of a manual page compiles without a warning, and every exported function
# has a page that names it.
set -eu
root=${BH_SOURCE_ROOT:-$(dirname "$0")/..}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# The first literal block behind "# EXAMPLE", as a reader sees it.
example_of() {
	awk '/^# EXAMPLE$/ { wanted = 1; next }
		wanted && /^```$/ { if (inside) exit; inside = 1; next }
		inside { gsub(/\\\\/, "\\"); print }' "$1"
}

for page in "$root"/man/bh_*.3.scd "$root"/man/bulkhead.7.scd; do
	source=$dir/$(basename "$page" .scd).c
	example_of "$page" > "$source"
	if ! grep -q 'int main(' "$source"; then
		echo "$page: no example"
		failed=1
	elif ! ${CC:-cc} -std=gnu11 -fsyntax-only -Wall -Wextra -Werror \
		-I"$root/include" "$source"; then
		echo "$page: the example does not compile"
		failed=1
	fi
done

names=$(sed -n 's/^\t\(bh_[a-z_]*\);$/\1/p' "$root/src/bulkhead.sym")
for name in $names; do
	if ! sed -n '/^# NAME$/,/^# SYNOPSIS$/p' "$root"/man/bh_*.3.scd |
		grep -qw "$name"; then
		echo "$name: in the NAME of no page"
		failed=1
	fi
done
exit $failed
