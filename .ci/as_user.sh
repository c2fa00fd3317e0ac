#!/bin/sh
# `make unit-user`: where everything runs as root, the tests whose outcome depends on rights (ports opened exclusively,
# locks, files that may not be read, processes of others) once more as a user without any. A user who runs this is one.
#
# AS_USER   who                     (nobody)
# AS_TESTS  files and folders       (those below)
set -eu
cd "$(dirname "$0")/.."
user=${AS_USER:-nobody}
tests=${AS_TESTS:-tests/console tests/boards/test_locks.py tests/boards/test_supervisor.py tests/boards/mps3 tests/test_files.py}

say() { printf 'unit-user: %s\n' "$*"; }

if [ "$(id -u)" != 0 ]; then
	say "nothing to do: all tests run as $(id -un), who is not root"
	exit 0
fi
command -v setpriv >/dev/null || { say "NOT RUN: setpriv is missing (package util-linux)"; exit 0; }
id "$user" >/dev/null 2>&1 || { say "NOT RUN: there is no user $user"; exit 0; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
chown "$user" "$home"
rights="--reuid $(id -u "$user") --regid $(id -g "$user") --init-groups --no-new-privs"
as_user() {
	# shellcheck disable=SC2086 # several words are meant
	setpriv $rights env HOME="$home" TMPDIR="$home" XDG_STATE_HOME="$home/state" XDG_RUNTIME_DIR="$home" \
		PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY="$home/hypothesis" "$@"
}
begins() { as_user .venv/bin/python -c 'import tfm_harness, pytest' 2>"$home/why"; }
with=""
if ! begins; then
	# The checkout, or its Python, lies in a folder of root's. Reading is then the one right that is left to the user:
	# ports, locks and processes of others are as closed as to any user.
	rights="$rights --inh-caps=+dac_read_search --ambient-caps=+dac_read_search"
	with=", who may read everything, since this checkout or its Python is not readable to others"
	begins || { say "NOT RUN: $user cannot start Python here: $(tail -n 1 "$home/why")"; exit 0; }
fi
say "as $user$with: $tests"
# shellcheck disable=SC2086 # several words are meant
as_user .venv/bin/python -m pytest $tests -q -p tests.side_by_side --side-by-side "${JOBS:-2}" \
	-p no:rerunfailures -p no:cacheprovider --basetemp="$home/pytest" -m 'not nightly'
