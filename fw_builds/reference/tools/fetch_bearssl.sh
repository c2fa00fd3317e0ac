#!/bin/sh
# Fetch BearSSL from Debian's source package into a folder: fetch_bearssl.sh FOLDER
#
# Uses a private apt list made from the machine's own apt sources (one-line and deb822), turned into deb-src;
# /etc/apt and apt's own lists stay as they are. APT_ETC names another folder than /etc/apt.
set -eu
umask 022

case $1 in /*) target=$1 ;; *) target=$PWD/$1 ;; esac
etc=${APT_ETC:-/etc/apt}
for tool in apt-get tar xz; do
	command -v "$tool" >/dev/null || {
		echo "fetch_bearssl: $tool is missing: install it, or give BEARSSL_DIR=<folder with BearSSL's source>" >&2
		exit 1
	}
done

scratch=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/sources" "$scratch/download"

for list in "$etc/sources.list" "$etc"/sources.list.d/*.list; do
	[ -f "$list" ] || continue
	sed -n -E 's/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$list" | sort -u >"$scratch/sources/$(basename "$list" .list).list"
done
for list in "$etc"/sources.list.d/*.sources; do
	[ -f "$list" ] || continue
	sed -E 's/^Types:.*/Types: deb-src/' "$list" >"$scratch/sources/$(basename "$list")"
done

apt() {
	apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/sources" \
		-o Dir::State::lists="$scratch/lists" -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}
cd "$scratch/download"
# Upstream's tarball alone, of the first of all versions offered that can be had: mirrors sometimes lack a package's
# Debian part, or its newest revision. An update may fail for a third party's list that has no sources.
versions() {
	apt-cache -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$scratch/sources" -o Dir::State::lists="$scratch/lists" \
		-o Dir::Cache="$scratch/cache" showsrc bearssl | sed -n 's/^Version: //p' | sort -u -V -r
}
fetched=""
{
	apt update || :
	if apt source --download-only --tar-only bearssl; then
		fetched=yes
	else
		for version in $(versions); do
			! apt source --download-only --tar-only "bearssl=$version" || { fetched=yes && break; }
		done
	fi
} >"$scratch/log" 2>&1
set -- bearssl_*.orig.tar.*[!c]
if [ -z "$fetched" ] || [ ! -f "$1" ]; then
	tail -n 5 "$scratch/log" >&2
	echo "fetch_bearssl: cannot get Debian's source package bearssl: check the network, or give BEARSSL_DIR=<folder>" >&2
	exit 1
fi
mkdir "$scratch/bearssl"
tar -xf "$scratch/download/$1" --strip-components=1 -C "$scratch/bearssl"
[ -f "$scratch/bearssl/inc/bearssl.h" ] || {
	echo "fetch_bearssl: the source package has no inc/bearssl.h" >&2
	exit 1
}
rm -rf "$target"
mv "$scratch/bearssl" "$target"
