# shellcheck shell=sh disable=SC2154
# debian.sh: a package state of its own, for scripts that bring Debian packages onto this
# machine for the tests without installing them. To be sourced; the script sets $program, and
# ends with 77 where something cannot be had here.
#
# FRAGSCOPE_MIRROR names another Debian mirror, FRAGSCOPE_KEYRING other keys.

mirror=${FRAGSCOPE_MIRROR:-http://deb.debian.org/debian}
keyring=${FRAGSCOPE_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}

unavailable()
{
	echo "$program: $*" >&2
	exit 77
}

# debian_place DEST WHAT: ends the script when DEST is there already; else locks it and makes
# $work, a directory beside it. Tests run side by side and may want the same thing at once.
# The mark is written last: a directory without it is a fetch that was cut short.
debian_place()
{
	if [ -e "$1/.complete" ]; then
		echo "$1"
		exit 0
	fi
	for tool in apt-get apt-cache dpkg flock; do
		command -v "$tool" >/dev/null 2>&1 ||
			unavailable "cannot fetch $2: $tool is not installed (this needs a Debian system)"
	done
	[ -r "$keyring" ] ||
		unavailable "cannot fetch $2: no $keyring: install debian-archive-keyring"
	mkdir -p "$(dirname "$1")"
	exec 9>"$1.lock"
	flock 9
	if [ -e "$1/.complete" ]; then
		echo "$1"
		exit 0
	fi
	work=$(mktemp -d "$1.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	mkdir -p "$work/deb" "$work/tree"
}

# debian_lists SUITE ARCH: the lists of a suite for an architecture. apt looks at nothing of
# this machine but its proxy: sources, lists and caches are our own. A mirror that stands still
# is good enough: its signature is checked all the same.
debian_lists()
{
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/empty"
	: >"$work/status"
	echo "deb [signed-by=$keyring] $mirror $1 main" >"$work/sources.list"
	{
		apt-config dump | grep -E '^Acquire::[a-z]+::Proxy' || :
		cat <<-CONF
			Dir::Etc::Main "$work/empty/none";
			Dir::Etc::Parts "$work/empty";
			Dir::Etc::SourceList "$work/sources.list";
			Dir::Etc::SourceParts "$work/empty";
			Dir::State "$work";
			Dir::State::Lists "$work/lists";
			Dir::State::Status "$work/status";
			Dir::Cache "$work/cache";
			APT::Architecture "$2";
			APT::Architectures { "$2"; };
			APT::Sandbox::User "";
			Acquire::Languages "none";
			Acquire::Check-Valid-Until "false";
			Acquire::Retries "1";
			Acquire::http::Timeout "10";
			Acquire::https::Timeout "10";
		CONF
	} >"$work/apt.conf"
	APT_CONFIG=$work/apt.conf
	export APT_CONFIG
	# apt-get ends with 0 when the mirror did not answer; only the empty list tells.
	if ! apt-get -q update >"$work/log" 2>&1 || ! apt-cache show libc6 >/dev/null 2>&1; then
		cat "$work/log" >&2
		unavailable "cannot reach $mirror for $1: check the network, or name a mirror in FRAGSCOPE_MIRROR"
	fi
}

# debian_unpack PACKAGE...: downloads them and unpacks them in $work/tree.
debian_unpack()
{
	if ! (cd "$work/deb" && apt-get -q download "$@") >"$work/log" 2>&1; then
		cat "$work/log" >&2
		unavailable "cannot download $* from $mirror"
	fi
	for package in "$work"/deb/*.deb; do
		dpkg -x "$package" "$work/tree"
	done
	# Links made for a root file system would lead to this machine's own libraries.
	find "$work/tree" -type l -lname '/*' | while read -r link; do
		target=$work/tree$(readlink "$link")
		[ ! -e "$target" ] || ln -sfr "$target" "$link"
	done
}

# debian_done DEST WHAT: the tree is whole and of WHAT; prints DEST.
debian_done()
{
	echo "$2" >"$work/tree/.complete"
	rm -rf "$1"
	mv "$work/tree" "$1"
	chmod 755 "$1"
	echo "$1"
}
