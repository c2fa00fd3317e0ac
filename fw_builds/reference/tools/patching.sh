# How a fault is put into a copy of the sources; read by faulty_sources.sh and check_patches.sh.

# What a fault may touch.
parts="partition spe pseudo_driver platform"

fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

command -v patch >/dev/null || fail "patch is missing: apt-get install patch"

# copy_parts SOURCES FOLDER: to FOLDER/fw_builds/reference, the names that patches use.
copy_parts() {
	mkdir -p "$2/fw_builds/reference"
	for part in $parts; do
		cp -pR "$1/$part" "$2/fw_builds/reference/"
	done
}

# apply PATCH FOLDER [OPTION]: the context must fit exactly; only its place may have moved. Otherwise: a message, and 1.
apply() {
	applied=$1
	in=$2
	shift 2
	[ -f "$applied" ] || { echo "$applied: no such patch" >&2; return 1; }
	said=$(patch -p1 --fuzz=0 --forward --batch --no-backup-if-mismatch --reject-file=- "$@" \
		--directory="$in" <"$applied" 2>&1) || {
		printf '%s\n' "$applied does not apply to the sources any more; write it anew (mutants/README.md):" "$said" >&2
		return 1
	}
}
