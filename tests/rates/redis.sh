#!/bin/sh
# redis.sh SEED MB: a Redis of some MB megabytes half of whose keys were deleted. Says "ready"
# when it is filled, and goes on as the server: a program for `coverage`. REDIS_SERVER names one
# that uses glibc's malloc (make MALLOC=libc); redis-cli is found by PATH.
set -eu
socket=$(mktemp -d)/socket

cli() {
	redis-cli -s "$socket" "$@"
}

fill() {
	until cli ping; do sleep 0.05; done >/dev/null 2>&1
	cli eval "
		math.randomseed($1)
		local keys = $2 * 430
		local text = function(least, most)
			return string.rep('x', math.random(least, most))
		end
		local make = {
			function(key) redis.call('set', key, text(10, 200)) end,
			function(key) redis.call('set', key, text(20, 4000)) end,
			function(key)
				for i = 1, math.random(40) do
					redis.call('hset', key, i, text(10, 120))
				end
			end,
			function(key)
				for i = 1, math.random(40) do
					redis.call('rpush', key, text(10, 300))
				end
			end,
		}
		for i = 1, keys do make[math.random(#make)](i) end
		for i = 1, keys do
			if math.random() < 0.5 then redis.call('del', i) end
		end
		return 'ready'" 0
	rm -r "${socket%/*}"
}

fill "$1" "$2" &
exec "${REDIS_SERVER:-redis-server}" --port 0 --unixsocket "$socket" --save '' \
	--appendonly no --dir / >/dev/null
