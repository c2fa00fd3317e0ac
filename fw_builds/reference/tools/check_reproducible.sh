#!/bin/sh
# Build a copy of the sources in another folder and compare: check_reproducible.sh SOURCES OUT [make variables...]
set -eu

sources=$1
out=$2
shift 2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
trap 'exit 1' HUP INT TERM

mkdir "$copy/elsewhere"
for part in Makefile mk tools keys spe platform partition pseudo_driver models build.yaml; do
	cp -R "$sources/$part" "$copy/elsewhere/"
done
${MAKE:-make} -s -C "$copy/elsewhere" "$@"
${MAKE:-make} -s -C "$copy/elsewhere" OUT="$copy/again/and/again" "$@"
status=0
for image in "$out"/*.elf "$out"/*.signed.bin; do
	name=$(basename "$image")
	for other in "$copy/elsewhere/out/$name" "$copy/again/and/again/$name"; do
		cmp "$image" "$other" || status=1
	done
	[ $status -eq 0 ] && echo "same bytes three times: $name"
done
exit $status
