#!/bin/bash
# packages.sh TARBALL RELEASE...: builds the Debian package from what `make dist` made, in a
# clean chroot of each RELEASE, and has autopkgtest install and try it in another one. As root,
# with mmdebstrap; the packages stay in ./packages/RELEASE. `make check-packages` runs it.
set -eu

[ $# -ge 2 ] || { echo >&2 "usage: packages.sh TARBALL RELEASE..."; exit 2; }
for tool in mmdebstrap autopkgtest; do
	command -v "$tool" >/dev/null ||
		{ echo >&2 "packages.sh: $tool is missing; on Debian: apt-get install $tool"; exit 1; }
done

tarball=$(realpath "$1")
shift
out=$PWD/packages
work=$(mktemp -d /var/tmp/fragscope-packages.XXXXXX)
mounted=()

clean() {
	local place
	for place in "${mounted[@]}"; do
		umount "$place"
	done
	rm -rf --one-file-system "$work"
}
trap clean EXIT

# inside ROOT COMMAND...: in a chroot that has /proc.
inside() {
	local root=$1
	shift
	chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# root_of NAME RELEASE PACKAGES
root_of() {
	mmdebstrap --quiet --mode=root --variant=apt --include="$3" "$2" "$work/$1"
	mount -t proc proc "$work/$1/proc"
	mounted=("$work/$1/proc" "${mounted[@]}")
}

build_in() {
	local release=$1
	root_of "build-$release" "$release" build-essential,debhelper,fakeroot,lintian,passwd
	local root=$work/build-$release
	mkdir "$root/build"
	tar -x -f "$tarball" -C "$root/build"
	inside "$root" sh -c 'apt-get -qq update && apt-get -qq -y --no-install-recommends build-dep /build/fragscope-*/' \
		>"$out/$release/log" 2>&1
	inside "$root" useradd builder
	inside "$root" chown -R builder /build
	inside "$root" su builder -c 'cd /build/fragscope-* && dpkg-buildpackage -us -uc -j'"$(nproc)" \
		>>"$out/$release/log" 2>&1 || { tail -30 "$out/$release/log"; return 1; }
	inside "$root" su builder -c 'cd /build && lintian --fail-on error,warning fragscope_*.changes'
	cp "$root"/build/*_* "$out/$release/"
}

# Installed and tried as Debian's own machines do: by debian/tests/control.
run_in() {
	local release=$1
	root_of "run-$release" "$release" dpkg-dev
	inside "$work/run-$release" apt-get -qq update
	rm -rf "$out/$release/autopkgtest"
	autopkgtest --quiet --output-dir="$out/$release/autopkgtest" \
		"$out/$release"/fragscope_*.changes -- chroot "$work/run-$release"
}

for release; do
	mkdir -p "$out/$release"
	build_in "$release"
	run_in "$release"
	echo "$release: built, clean by lintian, installed, its autopkgtest passed"
done
