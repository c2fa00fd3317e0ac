#!/bin/sh
# Make ready what `make demo` (or, with "test", `make test`) needs: Debian packages that are missing, and a
# virtual environment in .venv. Says what it does; does nothing twice.
set -eu
cd "$(dirname "$0")/.."
purpose=${1:-demo}

packages="qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi dpkg-dev make patch git xz-utils python3 python3-venv"
extras="firmware,evidence"
if [ "$purpose" = test ]; then
	packages="$packages gcc libc6-dev openssl chromium cmake ser2net postgresql softhsm2"
	extras="firmware,evidence,dev"
fi

say() { printf 'setup: %s\n' "$*"; }

missing=""
for package in $packages; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
if [ -n "$missing" ]; then
	if ! command -v apt-get >/dev/null; then
		say "these programs are needed, and this system has no apt-get:$missing" >&2
		exit 1
	fi
	as_root=""
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null; then
			say "as root, please: apt-get install$missing" >&2
			exit 1
		fi
		as_root="sudo"
	fi
	say "installing$missing${as_root:+ (through sudo)}"
	$as_root apt-get update -q
	# shellcheck disable=SC2086 # one word for each package is meant
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing </dev/null
fi

# Python 3.11 has the first choice of reference interpreters; newer ones have the second. The distribution's own is
# optimised with profiles; what is built from source (pyenv) mostly is not, and takes up to a third longer.
python=""
for candidate in "${PYTHON:-}" /usr/bin/python3.11 python3.11 /usr/bin/python3 python3 python3.12 python3.13; do
	if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
		"$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		python=$candidate
		break
	fi
done
if [ -z "$python" ]; then
	say "Python 3.11 or newer with venv is needed (Debian 12, Ubuntu 24.04 or newer have it)" >&2
	exit 1
fi
if [ ! -x .venv/bin/python ]; then
	say "making the virtual environment .venv with $("$python" --version)"
	"$python" -m venv .venv
fi
wanted="$(sha256sum pyproject.toml | cut -d' ' -f1)"
stamp=".venv/.installed-$purpose"
if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] &&
	! { [ "$purpose" = demo ] && [ "$(cat .venv/.installed-test 2>/dev/null || true)" = "$wanted" ]; }; then
	say "installing the harness and its Python packages into .venv"
	if [ -n "${LOCKED:-}" ]; then # exact versions with their hashes, then the harness without any dependency
		.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r ".ci/constraints-$purpose.txt"
		.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	else
		.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
	fi
	printf '%s\n' "$wanted" >"$stamp"
fi
say "ready"
