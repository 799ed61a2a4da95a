#!/bin/bash
# packages.sh TARBALL RELEASE...: builds the Debian package from what `make dist` made, in a
# clean chroot of each RELEASE, installs it in another one, and runs its demo there. As root,
# with mmdebstrap; the packages stay in ./packages/RELEASE. `make check-packages` runs it.
set -eu

[ $# -ge 2 ] || { echo >&2 "usage: packages.sh TARBALL RELEASE..."; exit 2; }
command -v mmdebstrap >/dev/null ||
	{ echo >&2 "packages.sh: mmdebstrap is missing; on Debian: apt-get install mmdebstrap"; exit 1; }

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

run_in() {
	local release=$1
	root_of "run-$release" "$release" gcc,libc6-dev
	local root=$work/run-$release
	cp "$out/$release"/fragscope_*_"$(dpkg --print-architecture)".deb "$root/root/"
	tar -x -O -f "$tarball" --wildcards "*/debian/tests/demo" >"$root/root/demo"
	inside "$root" apt-get -qq update
	inside "$root" sh -c 'apt-get -qq -y --no-install-recommends install /root/fragscope_*.deb' \
		>>"$out/$release/log" 2>&1
	inside "$root" bash /root/demo
}

for release; do
	mkdir -p "$out/$release"
	build_in "$release"
	run_in "$release" >"$out/$release/demo.log" 2>&1 || { cat "$out/$release/demo.log"; exit 1; }
	echo "$release: built, clean by lintian, installed, demo ran"
done
