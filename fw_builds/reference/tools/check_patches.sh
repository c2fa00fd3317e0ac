#!/bin/sh
# Whether every patch fits the sources: check_patches.sh SOURCES PATCH...
#
# As faulty_sources.sh, for many patches: the sources are copied once, and each patch that fits is taken back again.
# Names all that do not fit; exit 1 then.
set -eu

sources=$1
shift
tools=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
status=0
. "$tools/patching.sh"
copy_parts "$sources" "$folder"
for patch in "$@"; do
	if apply "$patch" "$folder"; then
		apply "$patch" "$folder" --reverse && continue
	fi
	status=1
	rm -rf "$folder/fw_builds"
	copy_parts "$sources" "$folder"
done
exit $status
