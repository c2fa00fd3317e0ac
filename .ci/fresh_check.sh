#!/bin/sh
# `make fresh-check`: Debian 12 and 13 from nothing, each in a folder (debootstrap, chroot), and there, as a normal user
# with sudo, the commands that the README gives. Tells what works for somebody who has just cloned the repository.
#
# FRESH_SUITES    Debian releases               (bookworm trixie)
# FRESH_USERS     who runs the commands         (user; "user root" for both)
# FRESH_GOALS     make goals, in this order     (demo unit)
# FRESH_DIR       where the roots are           (/var/tmp/tfm-harness-fresh; the pristine roots in it are kept)
# FRESH_LIMIT     seconds for one goal          (5400)
#
# What is tested is HEAD: changes that are not committed are not seen. How this machine reaches Debian's archive and
# Python packages (apt's mirror and proxy, pip's configuration, certificates) is handed into the roots as it is.
set -eu
cd "$(dirname "$0")/.."
suites=${FRESH_SUITES:-bookworm trixie}
users=${FRESH_USERS:-user}
goals=${FRESH_GOALS:-demo unit}
dir=${FRESH_DIR:-/var/tmp/tfm-harness-fresh}
limit=${FRESH_LIMIT:-5400}
logs=$PWD/build/fresh-check

say() { printf 'fresh-check: %s\n' "$*"; }
die() {
	say "$*" >&2
	exit 2
}

[ "$(id -u)" = 0 ] || die "debootstrap and chroot need root: sudo make fresh-check"
for tool in debootstrap unshare git; do
	command -v "$tool" >/dev/null || die "$tool is missing: apt-get install debootstrap util-linux git"
done
unshare --mount --pid --fork true 2>/dev/null || die "this machine lets nobody make mount namespaces (a container?)"
[ -z "$(git status --porcelain)" ] || say "note: there are changes that are not committed; HEAD is tested, without them"
mkdir -p "$dir" "$logs"
summary=$logs/summary.txt
: >"$summary"

# The archive that this machine takes Debian from; where it is no Debian, debootstrap's own choice.
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Identifier: Packages' 2>/dev/null |
	sed -n 's/^Debian|Debian|//p' | head -n 1)

pristine() {
	root=$dir/$1
	[ -f "$root/.complete" ] && return
	rm -rf "$root"
	say "$1: debootstrap"
	# shellcheck disable=SC2086 # no word at all where no mirror is known
	debootstrap --variant=minbase --include=ca-certificates,git,make,sudo "$1" "$root" $mirror >"$logs/$1-debootstrap.log" 2>&1 ||
		die "debootstrap $1 failed: $logs/$1-debootstrap.log: $(tail -n 1 "$logs/$1-debootstrap.log")"
	touch "$root/.complete"
}

# Folders of packages on this machine that pip's configuration names; the files of an index lie beside its folder "simple".
pip_folders() {
	{ cat /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" 2>/dev/null || true; env | grep '^PIP_' || true; } |
		tr ' =,' '\n\n\n' | sed -n 's#^\(file://\)\{0,1\}\(/.*\)#\2#p' | sed 's#/simple/*$##' | sort -u |
		while read -r path; do [ ! -d "$path" ] || printf '%s\n' "$path"; done
}

prepare() { # ROOT: how the outside is reached, the user, the clone
	root=$1
	cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
	cp /etc/hosts "$root/etc/hosts" 2>/dev/null || true
	apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Retries|AllowInsecure)' >"$root/etc/apt/apt.conf.d/90fresh-check" || true
	cp /etc/pip.conf "$root/etc/pip.conf" 2>/dev/null || true
	for home in "$root/root" "$root/etc/skel"; do
		mkdir -p "$home/.config/pip"
		cp "$HOME/.config/pip/pip.conf" "$home/.config/pip/pip.conf" 2>/dev/null || true
	done
	mkdir -p "$root/usr/local/share/fresh-check"
	[ ! -f /etc/ssl/certs/ca-certificates.crt ] || cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/fresh-check/ca.crt"
	chroot "$root" useradd --create-home --shell /bin/bash user
	printf 'user ALL=(ALL) NOPASSWD: ALL\n' >"$root/etc/sudoers.d/user"
	git clone -q --no-hardlinks . "$root/tmp/clone"
	git -C "$root/tmp/clone" remote remove origin
	pip_folders >"$root/usr/local/share/fresh-check/folders"
}

# Runs inside the namespace: mounts what a running system has, and becomes the user.
cat >"$dir/enter.sh" <<'END'
set -eu
root=$1 user=$2 command=$3
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
while read -r path; do
	mkdir -p "$root$path"
	mount --bind -o ro "$path" "$root$path"
done <"$root/usr/local/share/fresh-check/folders"
if [ "$user" = root ]; then home=/root; else home=/home/$user; fi
set -- HOME="$home" USER="$user" LOGNAME="$user" LANG=C.UTF-8 TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ca=/usr/local/share/fresh-check/ca.crt
[ ! -f "$root$ca" ] || set -- "$@" PIP_CERT=$ca SSL_CERT_FILE=$ca REQUESTS_CA_BUNDLE=$ca
for name in $(env | sed -n -E 's/^(PIP_[A-Z_]+|[A-Za-z]+_proxy|[A-Z]+_PROXY|OPENBLAS_[A-Z0-9_]+)=.*/\1/p' | grep -v -x PIP_CERT); do
	eval "set -- \"\$@\" $name=\"\$$name\""
done
exec chroot "$root" setpriv --reuid "$user" --regid "$user" --init-groups env -i "$@" \
	sh -c "cd \"\$HOME/tfm-harness\" 2>/dev/null || { cp -r /tmp/clone \"\$HOME/tfm-harness\" && cd \"\$HOME/tfm-harness\"; }; $command"
END

failed=0
for suite in $suites; do
	pristine "$suite"
	for user in $users; do
		work=$dir/$suite-$user
		rm -rf --one-file-system "$work"
		cp -a "$dir/$suite" "$work"
		prepare "$work"
		for goal in $goals; do
			log=$logs/$suite-$user-$goal.log
			say "$suite, as $user: make $goal (log: $log)"
			begun=$(date +%s) result=passed
			timeout --kill-after=30 "$limit" nice unshare --mount --pid --fork --kill-child sh "$dir/enter.sh" "$work" "$user" "make $goal" \
				</dev/null >"$log" 2>&1 || { result="FAILED ($?)" failed=1; }
			line=$(printf '%-10s %-5s make %-8s %-12s %5d s' "$suite" "$user" "$goal" "$result" $(($(date +%s) - begun)))
			printf '%s\n' "$line" | tee -a "$summary"
			[ "$result" = passed ] || tail -n 15 "$log" | sed 's/^/    /'
		done
	done
done
say "summary: $summary"
exit $failed
