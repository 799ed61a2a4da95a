#!/bin/bash
# layering.sh: each directory includes itself and what ALLOWED names for it, and no more. Under
# src/ and bpf/ every include names its directory, but for bpf/'s own; a tool may name its
# neighbours without one. No files include or call each other in a circle, and no two define a
# struct of one name, or are headers with one guard: who includes both would get only one.
set -u

# One line a directory, after all that it may include.
ALLOWED='
base:
bpf:
sample: base
target: base sample
glibc: base sample target
unwind: base sample target
probe: base bpf sample target glibc unwind
inject: base sample target glibc unwind
ipc: base sample target
owners: base sample target glibc unwind
recording: base sample
source: base sample target glibc unwind probe ipc owners recording
series: base sample
analysis: base bpf sample series
view: base sample series analysis unwind
tui: base sample series analysis view
engine: base bpf sample target glibc unwind probe inject ipc recording source series analysis view
export: base bpf sample target probe source series analysis view engine
top: base sample target probe source series analysis view tui engine
preload: ipc
tools: base bpf sample probe source view tui engine export top
'

# includes ROOT: "FILE:LINE:NAME" for each include of a file of our own.
includes() {
	find "$1/src" "$1/tools" "$1/bpf" -name '*.[ch]' ! -name '*.skel.h' ! -name vmlinux.h \
		-exec grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
		sed -E "s|^$1/||"';s/^([^:]*:[0-9]+):[^"]*"([^"]*)".*/\1:\2/'
}

# violations ROOT: one line an include that ALLOWED does not have.
violations() {
	includes "$1" | awk -F: -v allowed="$ALLOWED" '
	BEGIN {
		lines = split(allowed, line, "\n")
		for (i = 1; i <= lines; i++) {
			if (split(line[i], part, ":") < 2)
				continue
			known[part[1]] = 1
			may[part[1], part[1]] = 1
			count = split(part[2], below, " ")
			for (j = 1; j <= count; j++)
				may[part[1], below[j]] = 1
		}
	}
	{
		own = $1
		sub(/^src\//, "", own)
		sub(/\/.*/, "", own)
		other = $3
		if (other !~ /\//) {
			if (own != "tools" && own != "bpf")
				printf "%s:%s: \"%s\" must name its directory from src/\n", $1, $2, $3
			next
		}
		sub(/\/.*/, "", other)
		if (!(own in known))
			printf "%s:%s: directory %s has no place in ALLOWED\n", $1, $2, own
		else if (!(other in known))
			printf "%s:%s: \"%s\" is in no known directory\n", $1, $2, $3
		else if (!((own, other) in may))
			printf "%s:%s: %s must not include %s (\"%s\")\n", $1, $2, own, other, $3
	}'
}

# header_circles ROOT: the headers that include each other in a circle.
header_circles() {
	includes "$1" | awk -F: '
	$1 ~ /\.h$/ {
		from = $1
		to = $3
		sub(/^src\//, "", from)
		if (to !~ /\//) {
			to = from
			sub(/[^\/]*$/, $3, to)
		}
		print from, to
	}' | circles
}

# calls BUILD ROOT: "USER DEFINER" for each object of BUILD that uses a symbol of another, of
# those that have a source of their name in ROOT.
calls() {
	(cd "$1" && find src tools -name '*.o' 2>/dev/null) | while read -r object; do
		[ ! -e "$2/${object%.o}.c" ] || echo "$object"
	done | (cd "$1" && xargs -r nm -A -P -g) | awk '
	{
		sub(/\.o:$/, ".c", $1)
		if ($3 == "U")
			used[$1, $2] = 1
		else if ($3 ~ /[TDBRVW]/)
			definer[$2] = $1
	}
	END {
		for (pair in used) {
			split(pair, part, SUBSEP)
			if (part[2] in definer && definer[part[2]] != part[1])
				print part[1], definer[part[2]]
		}
	}'
}

# circles: of the pairs "ONE OTHER" on standard input, those that lie in a circle.
circles() {
	sort -u | awk '
	{ from[NR] = $1; to[NR] = $2 }
	END {
		# What nothing in the rest leads to, or what leads to nothing in it, is in
		# no circle.
		do {
			removed = 0
			split("", out); split("", into)
			for (i in from) { out[from[i]] = 1; into[to[i]] = 1 }
			for (i in from)
				if (!(from[i] in into) || !(to[i] in out)) {
					delete from[i]
					removed = 1
				}
		} while (removed)
		for (i in from)
			if (from[i] != to[i])
				print from[i] " and " to[i] " lie in a circle"
	}' | sort
}

# twins ROOT: structs, unions, enums and guards that two files define, by their names.
twins() {
	find "$1/src" "$1/tools" -name '*.[ch]' ! -name '*.skel.h' -exec \
		grep -hE '^((struct|union|enum) [a-z_0-9]+ \{|#ifndef FRAGSCOPE_)' {} + |
		sort | uniq -d
}

count=0
# point DESCRIPTION WANT GOT: one TAP point; WANT and GOT must be equal.
point() {
	count=$((count + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $count - $1"
	else
		echo "not ok $count - $1"
		printf '%s\n' "wanted: $2" "got: $3" | sed 's/^/# /'
	fi
}

# plant CHECK FILE LINE...: CHECK of a scratch tree with nothing but these files.
plant() {
	local scratch check=$1
	scratch=$(mktemp -d) || exit 99
	mkdir -p "$scratch/src" "$scratch/tools" "$scratch/bpf"
	shift
	while [ $# -gt 0 ]; do
		mkdir -p "$scratch/$(dirname "$1")"
		printf '%s\n' "$2" >"$scratch/$1"
		shift 2
	done
	"$check" "$scratch"
	rm -rf "$scratch"
}

# object_circles ROOT: circles of a tree that is built in ROOT or in BUILD.
object_circles() {
	calls "${2:-$1}" "$1" | circles
}

# built_circles ROOT: the same of sources that are compiled here.
built_circles() {
	local file
	for file in "$1"/src/*/*.c; do
		${CC:-cc} -c -o "${file%.c}.o" "$file" || return
	done
	object_circles "$1"
}

root=${FRAGSCOPE_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${FRAGSCOPE_BUILDDIR:-$root}

echo 1..21
point 'there are includes to judge' yes \
	"$(includes "$root" | grep -q '^src/.*:[a-z]*/' && echo yes)"
point 'those of the probes are among them' yes \
	"$(includes "$root" | grep -q '^bpf/' && echo yes)"
point 'each directory includes what it may' '' "$(violations "$root")"
point 'no headers include each other in a circle' '' "$(header_circles "$root")"
point 'the verbs are glue: no file above 400 lines, 4,300 in all' '' \
	"$(wc -l "$root"/tools/*.[ch] | awk '$1 > ($2 == "total" ? 4300 : 400)')"
point 'there are objects to judge' yes "$(calls "$build" "$root" | grep -q . && echo yes)"
point 'no files call each other in a circle' '' "$(object_circles "$root" "$build")"
point 'what is allowed may be included' '' \
	"$(plant violations src/view/x.c '#include "sample/sample.h"')"
point 'an include of a later directory is found' \
	'src/sample/x.h:1: sample must not include view ("view/csv.h")' \
	"$(plant violations src/sample/x.h '#include "view/csv.h"')"
point 'an include of a tool is found' \
	'src/view/x.c:1: view must not include tools ("tools/options.h")' \
	"$(plant violations src/view/x.c '  #  include "tools/options.h"')"
point 'the sampler may not draw' \
	'src/preload/x.c:1: preload must not include tui ("tui/canvas.h")' \
	"$(plant violations src/preload/x.c '#include "tui/canvas.h"')"
point 'what judges reads nothing of /proc' \
	'src/analysis/x.c:1: analysis must not include target ("target/smaps.h")' \
	"$(plant violations src/analysis/x.c '#include "target/smaps.h"')"
point 'a probe may not include what is not in the kernel' \
	'bpf/x.bpf.c:1: bpf must not include base ("base/text.h")' \
	"$(plant violations bpf/x.bpf.c '#include "base/text.h"')"
point 'an include without its directory is found' \
	'src/base/x.c:1: "fault.h" must name its directory from src/' \
	"$(plant violations src/base/x.c '#include "fault.h"')"
point 'an unknown directory is found' \
	'src/odd/x.c:1: directory odd has no place in ALLOWED' \
	"$(plant violations src/odd/x.c '#include "base/fault.h"')"
point 'headers in a circle are found' \
	'base/a.h and base/b.h lie in a circle
base/b.h and base/c.h lie in a circle
base/c.h and base/a.h lie in a circle' \
	"$(plant header_circles src/base/a.h '#include "base/b.h"' \
		src/base/b.h '#include "base/c.h"' src/base/c.h '#include "base/a.h"' \
		src/base/d.h '#include "base/a.h"')"
point 'files in a circle are found' \
	'src/base/a.c and src/base/b.c lie in a circle
src/base/b.c and src/base/a.c lie in a circle' \
	"$(plant built_circles src/base/a.c 'int b(void); int a(void) { return b(); }' \
		src/base/b.c 'int a(void); int c(void); int b(void) { return a() + c(); }' \
		src/base/c.c 'int c(void) { return 1; }')"
point 'files in a row are none' '' \
	"$(plant built_circles src/base/a.c 'int b(void); int a(void) { return b(); }' \
		src/base/b.c 'int c(void); int b(void) { return c(); }' \
		src/base/c.c 'int c(void) { return 1; }')"
point 'no two structs or guards have one name' '' "$(twins "$root")"
point 'two structs of one name are found' 'struct place {' \
	"$(plant twins src/base/a.c 'struct place {' src/view/a.c 'struct place {')"
point 'two guards of one name are found' '#ifndef FRAGSCOPE_PLACE_H' \
	"$(plant twins src/base/a.h '#ifndef FRAGSCOPE_PLACE_H' \
		src/view/a.h '#ifndef FRAGSCOPE_PLACE_H')"
