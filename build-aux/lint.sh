#!/bin/bash
# lint.sh: the static checks over everything written by hand; `make lint` runs it in the
# top source directory. LINT_FLAGS holds the compiler's flags, for clang-tidy.
set -u

failed=0
jobs=$(nproc)
list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT

# Tool and the Debian package that has it.
TOOLS='
clang-format	clang-format
clang-tidy	clang-tidy
cppcheck	cppcheck
shellcheck	shellcheck
mandoc	mandoc
pyflakes3	pyflakes3
pycodestyle	pycodestyle
'

missing=
while read -r tool package; do
	[ -n "$tool" ] || continue
	command -v "$tool" >/dev/null && continue
	echo >&2 "make lint: $tool is missing; on Debian: apt-get install $package"
	missing=1
done <<<"$TOOLS"
[ -z "$missing" ] || exit 1

# check NAME COMMAND...: runs COMMAND with the files in LIST appended; an empty list is done.
check() {
	local name=$1
	shift
	[ -s "$list" ] || return
	echo "  LINT     $name ($(wc -l <"$list") files)"
	if ! xargs -d '\n' -a "$list" "$@"; then
		echo >&2 "make lint: $name found the faults above"
		failed=1
	fi
}

# What is generated is nobody's to format.
sources() {
	find "$@" -name '*.[ch]' ! -name '*.skel.h' ! -path 'tests/bin/*' 2>/dev/null | sort
}

# Shell scripts go by their first line: some have no suffix.
scripts() {
	grep -rlIE '^#! ?/(usr/)?bin/(env )?(ba)?sh' bootstrap .ci/run build-aux/*.sh tests |
		grep -vE '/(tap-driver|depcomp|install-sh|missing|compile|ar-lib|test-driver)' |
		sort
}

# And Python's by their suffix or their first line.
pythons() {
	{
		find build-aux docs tests -name '*.py'
		grep -rlIE '^#! ?/usr/bin/env python3' tests
	} | sort -u
}

sources src tools examples tests bpf >"$list"
check clang-format clang-format --dry-run --Werror

scripts >"$list"
check shellcheck shellcheck

pythons >"$list"
check pyflakes3 pyflakes3
# C in a text has tabs (W191, E101); an operator begins a line or ends one (W503, W504).
check pycodestyle pycodestyle --max-line-length=100 --ignore=W191,E101,W503,W504

find man -name '*.[1-8]' | sort >"$list"
check mandoc mandoc -Tlint -W warning

sources src tools | grep '\.c$' >"$list"
check cppcheck cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c \
	--enable=warning,performance,portability -Isrc -Itools -j "$jobs"

# It reads as the compiler does: not what is for the other machine only.
others=$(find src -name x86_64.c -o -name aarch64.c | grep -v "/$(uname -m).c\$")
sources src tools | grep '\.c$' | grep -vxF "$others" >"$list"

# clang-tidy takes its files before `--`, so one process a file; xargs runs them in parallel.
export LINT_FLAGS
# shellcheck disable=SC2016 # expanded by the inner shell
check clang-tidy -n 1 -P "$jobs" sh -c \
	'out=$(eval "clang-tidy --quiet \"\$1\" -- $LINT_FLAGS" 2>/dev/null) || { printf "%s\n" "$out"; exit 1; }' tidy

exit "$failed"
