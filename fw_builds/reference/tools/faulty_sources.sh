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
parts="partition spe pseudo_driver platform"

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

[ -f "$patch" ] || fail "$patch: no such patch"
command -v patch >/dev/null || fail "patch is missing: apt-get install patch"
sum=$(cksum <"$patch")
made_from=$(cd "$sources" && { find $parts -type f | LC_ALL=C sort | xargs cksum; echo "$sum"; } | cksum)
[ "$(cat "$folder/.made_from" 2>/dev/null || true)" != "$made_from" ] || exit 0

rm -rf "$folder" "$folder.new"
mkdir -p "$folder.new/fw_builds/reference"
trap 'rm -rf "$folder.new"' EXIT
trap 'exit 1' HUP INT TERM
for part in $parts; do
	cp -pR "$sources/$part" "$folder.new/fw_builds/reference/"
done
said=$(patch -p1 --fuzz=0 --forward --batch --no-backup-if-mismatch --reject-file=- \
	--directory="$folder.new" <"$patch" 2>&1) ||
	fail "$patch does not apply to the sources any more; write it anew (mutants/README.md):
$said"
printf '%s\n' "$made_from" >"$folder.new/fw_builds/reference/.made_from"
mv "$folder.new/fw_builds/reference" "$folder"
