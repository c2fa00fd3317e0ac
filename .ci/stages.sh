#!/bin/sh
# Run targets of the Makefile one after the other, stop at the first that fails, and say how long each took.
set -eu

took=""
result="everything passed"
for stage in "$@"; do
	began=$(date +%s)
	${MAKE:-make} --no-print-directory "$stage" || result="make $stage failed"
	took="$took$(($(date +%s) - began)) $stage
"
	[ "$result" = "everything passed" ] || break
done
printf 'seconds, longest first:\n'
printf '%s' "$took" | sort -rn | sed 's/^/  /'
printf '%s\n' "$result"
[ "$result" = "everything passed" ]
