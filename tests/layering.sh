#!/bin/bash
# layering.sh: a directory includes only itself and those before it in ORDER. Under src/
# every include names its directory; a tool may name its neighbours without one.
set -u

ORDER='base bpf sample target glibc unwind probe ipc owners recording source series analysis view tui engine top preload tools'

# rank NAME: its place in ORDER, or nothing.
rank() {
	local place=0 layer
	for layer in $ORDER; do
		place=$((place + 1))
		if [ "$layer" = "$1" ]; then
			echo "$place"
			return
		fi
	done
}

# violations ROOT: one line an include that breaks the order, in ROOT/src and ROOT/tools.
violations() {
	local file line name own other
	while IFS=: read -r file line name; do
		file=${file#"$1"/}
		own=${file#src/}
		own=${own%%/*}
		if [ "$name" = "${name#*/}" ]; then
			[ "$own" = tools ] ||
				echo "$file:$line: \"$name\" must name its directory from src/"
			continue
		fi
		other=${name%%/*}
		if [ -z "$(rank "$own")" ]; then
			echo "$file:$line: directory $own has no place in the order"
		elif [ -z "$(rank "$other")" ]; then
			echo "$file:$line: \"$name\" is in no known directory"
		elif [ "$(rank "$other")" -gt "$(rank "$own")" ]; then
			echo "$file:$line: $own must not include $other (\"$name\")"
		fi
	done < <(find "$1/src" "$1/tools" -name '*.[ch]' -exec \
		grep -HnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' {} + |
		sed -E 's/^([^:]*:[0-9]+):[^"]*"([^"]*)".*/\1:\2/')
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

# plant FILE LINE: the only content of a scratch tree is this one line; prints violations.
plant() {
	local scratch
	scratch=$(mktemp -d) || exit 99
	mkdir -p "$scratch/src" "$scratch/tools" "$scratch/$(dirname "$1")"
	printf '%s\n' "$2" >"$scratch/$1"
	violations "$scratch"
	rm -rf "$scratch"
}

root=${FRAGSCOPE_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}

echo 1..7
point 'there are includes to judge' yes \
	"$(grep -rqE '#include "[a-z]+/' "$root/src" && echo yes)"
point 'no include points down the order' '' "$(violations "$root")"
point 'a layer may include one before it' '' \
	"$(plant src/view/x.c '#include "sample/sample.h"')"
point 'an include of a later layer is found' \
	'src/sample/x.h:1: sample must not include view ("view/csv.h")' \
	"$(plant src/sample/x.h '#include "view/csv.h"')"
point 'an include of a tool is found' \
	'src/view/x.c:1: view must not include tools ("tools/options.h")' \
	"$(plant src/view/x.c '  #  include "tools/options.h"')"
point 'an include without its directory is found' \
	'src/base/x.c:1: "fault.h" must name its directory from src/' \
	"$(plant src/base/x.c '#include "fault.h"')"
point 'an unknown directory is found' \
	'src/odd/x.c:1: directory odd has no place in the order' \
	"$(plant src/odd/x.c '#include "base/fault.h"')"
