#!/bin/sh
# Make a faulty copy of the sources: faulty_sources.sh SOURCES PATCH FOLDER
#
# Copies what a fault may touch (partition, spe, pseudo_driver, platform) to FOLDER and applies PATCH, a unified diff as
# `git diff` writes it. The context must fit exactly; only its place may have moved. Otherwise: exit 1, and no FOLDER.
# FOLDER/.made_from says what it was made from: the same again changes nothing.
set -eu

sources=$1
patch=$2
folder=$3
. "$(dirname "$0")/patching.sh"

[ -f "$patch" ] || fail "$patch: no such patch"
sum=$(cksum <"$patch")
# shellcheck disable=SC2086 # several words are meant
made_from=$(cd "$sources" && { find $parts -type f | LC_ALL=C sort | xargs cksum; echo "$sum"; } | cksum)
[ "$(cat "$folder/.made_from" 2>/dev/null || true)" != "$made_from" ] || exit 0

rm -rf "$folder" "$folder.new"
trap 'rm -rf "$folder.new"' EXIT
trap 'exit 1' HUP INT TERM
copy_parts "$sources" "$folder.new"
apply "$patch" "$folder.new" || exit 1
printf '%s\n' "$made_from" >"$folder.new/fw_builds/reference/.made_from"
mv "$folder.new/fw_builds/reference" "$folder"
