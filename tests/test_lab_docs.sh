#!/bin/sh
# SPDX-License-Identifier: MIT
# The matrix in the README and the pictures in docs/ are what the command gives.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$BH_COMMAND" lab --all >"$dir/matrix"
sed 's/ *$//' "$dir/matrix" >"$dir/rows"
awk '/^```matrix$/ {inside = 1; next} /^```$/ {inside = 0} inside' "$top/README.md" >"$dir/readme"
diff -u "$dir/readme" "$dir/rows"

for picture in "$top"/docs/lab-inode-lock-*.svg; do
	era=${picture##*lock-}
	"$BH_COMMAND" lab inode-lock --era "${era%.svg}" --svg "$dir/picture.svg" >"$dir/text"
	diff -u "$picture" "$dir/picture.svg"
done
