# shellcheck shell=dash
# vm.sh: what commands inside a virtual machine share.

# begin NAME COMMAND...: starts COMMAND, which reads what "say NAME" writes; the process is in
# /tmp/NAME.pid, its outputs in /tmp/NAME.out and .err, its status at the end in .status.
begin()
{
	begin_name=$1
	shift
	rm -f "/tmp/$begin_name".*
	mkfifo "/tmp/$begin_name.in"
	(
		"$@" <>"/tmp/$begin_name.in" >"/tmp/$begin_name.out" 2>"/tmp/$begin_name.err" &
		echo $! >"/tmp/$begin_name.pid"
		wait $!
		echo $? >"/tmp/$begin_name.status"
	) >/dev/null 2>&1 &
	until [ -s "/tmp/$begin_name.pid" ]; do
		usleep 5000
	done
}

# pid NAME
pid()
{
	cat "/tmp/$1.pid"
}

# lines NAME COUNT: waits until it has written as many, or ended.
lines()
{
	until [ "$(wc -l <"/tmp/$1.out")" -ge "$2" ] || [ -s "/tmp/$1.status" ]; do
		usleep 20000
	done
	[ "$(wc -l <"/tmp/$1.out")" -ge "$2" ]
}

# wrote NAME TEXT: waits until it has written TEXT on either output, or ended.
wrote()
{
	until grep -q -- "$2" "/tmp/$1.out" "/tmp/$1.err"; do
		[ ! -s "/tmp/$1.status" ] || return 1
		usleep 50000
	done
}

# ask NAME TEXT [LAST]: writes a line to it, and prints what it answers: a line, or all up to
# one that is LAST.
ask()
{
	ask_before=$(wc -l <"/tmp/$1.out")
	echo "$2" >"/tmp/$1.in"
	lines "$1" $((ask_before + 1)) || return
	until tail -n 1 "/tmp/$1.out" | grep -q "${3-}"; do
		[ ! -s "/tmp/$1.status" ] || return 1
		usleep 20000
	done
	tail -n +$((ask_before + 1)) "/tmp/$1.out"
}

# ended NAME: waits for its end; its status.
ended()
{
	until [ -s "/tmp/$1.status" ]; do
		usleep 20000
	done
	return "$(cat "/tmp/$1.status")"
}

# end NAME [SIGNAL]
end()
{
	kill "-${2:-KILL}" "$(pid "$1")" 2>/dev/null
	ended "$1"
}

# load MODULE: with what it depends on.
load()
{
	while read -r load_name; do
		insmod "/modules/$load_name.ko" 2>/dev/null
	done <"/modules/$1"
	return 0
}

# waits NAME TRACEPOINT: until it has a program at the tracepoint and sleeps between two looks at
# its events.
waits()
{
	case $(uname -m) in
	aarch64) waits_ppoll=73 ;;
	*) waits_ppoll=271 ;;
	esac
	until grep -qs "tp_name:.*$2" "/proc/$(pid "$1")"/fdinfo/* &&
		[ "$(cut -d' ' -f1 "/proc/$(pid "$1")/syscall")" = "$waits_ppoll" ]; do
		[ ! -s "/tmp/$1.status" ] || return 1
		usleep 20000
	done
}

# as_user COMMAND...: by somebody who may nothing.
as_user()
{
	su user -s /bin/sh -c "PATH=/f:/bin; $*"
}

# probes: what eBPF programs and probes there are in the kernel.
probes()
{
	grep -c ' bpf_prog_' /proc/kallsyms
	# A kernel without bpf() was built without tracing, too.
	[ -e /proc/sys/kernel/unprivileged_bpf_disabled ] || return 0
	cat /sys/kernel/tracing/uprobe_events /sys/kernel/tracing/kprobe_events
	ls /sys/fs/bpf
}

# probes_become TEXT: waits until that is all, for ten seconds at most; what there is then.
probes_become()
{
	probes_left=500
	while [ "$(probes)" != "$1" ] && [ "$probes_left" -gt 0 ]; do
		usleep 20000
		probes_left=$((probes_left - 1))
	done
	probes
}

# lives COUNT FIRST: as many programs one after the other, from the one with number FIRST on, each for
# some seconds; the last one stays.
lives()
{
	lives_left=$1 lives_number=$2
	while :; do
		case $((lives_number % 3)) in
		0) set -- /p/leak ;;
		1) set -- /p/fragmenter --mb 24 --seconds 600 ;;
		*) set -- /p/steady ;;
		esac
		"$@" >/dev/null 2>&1 &
		lives_left=$((lives_left - 1)) lives_number=$((lives_number + 1))
		[ "$lives_left" -gt 0 ] || break
		sleep $((1 + lives_number * lives_number % 9))
		kill -9 $!
	done
}

# files PID: how many it has open.
files()
{
	set -- "/proc/$1/fd"/*
	echo $#
}

# taken PID: its anonymous memory in kB, open files, processor time in ticks; and the time.
taken()
{
	[ -e "/proc/$1/stat" ] && echo "$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status")" \
		"$(files "$1")" \
		"$(awk '{ print $14 + $15 + $16 + $17 }' "/proc/$1/stat")" \
		"$(cut -d' ' -f1 /proc/uptime)"
}

# settled PID: waits until it has no process open, for 300 looks at most; how many files it has.
settled()
{
	settled_looks=300
	while grep -qs '^Pid:' "/proc/$1/fdinfo"/* && [ "$settled_looks" -gt 0 ]; do
		settled_looks=$((settled_looks - 1))
		usleep 100000
	done
	files "$1"
}
