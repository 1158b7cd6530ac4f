# What `run`, `test` and `.ci/run` share; sourced by bash with `root` set to the source tree. Owns installing packages,
# building quietly, and counting tests.

# Where the environment is empty the shell has a PATH of its own, which ends with this folder, and does not pass it on:
# cmake finds itself by it.
export PATH=${PATH%:.}

say() {
	echo "ring3: $*" >&2
}

exec 6>&2
[ ! -t 2 ] || exec 7>&2

# need_packages GROUP...: installs what is missing of cmake/packages.txt. Exit 125 if that takes rights one has not got.
need_packages() {
	local groups="$*" wanted missing
	command -v dpkg-query >/dev/null || return 0 # not a Debian: CMake will say what is missing
	wanted=$(awk -v groups=" $groups " '$1 !~ /^#/ && NF && index(groups, " " $1 " ") { print $2 }' \
		"$root/cmake/packages.txt")
	# shellcheck disable=SC2086
	missing=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null |
		awk -v wanted="$wanted" '$2 == "installed" { have[$1] = 1 }
			END { n = split(wanted, w, /[ \n]+/); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }')
	[ -n "$missing" ] || return 0
	# shellcheck disable=SC2086
	set -- $missing
	local as_root=
	if [ "$(id -u)" -ne 0 ]; then
		if sudo -n true 2>/dev/null || { [ -t 0 ] && [ -t 2 ] && sudo -v; }; then
			as_root=sudo
		else
			say "packages are missing; have them installed, then start this again:"
			echo "    sudo apt-get install --no-install-recommends $*" >&2
			exit 125
		fi
	fi
	say "installing $*"
	quietly $as_root apt-get update || say "apt-get update failed; trying with the lists that are there"
	quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || exit 125
}

# quietly COMMAND...: shows its output only if it fails.
quietly() {
	local log status=0
	log=$(mktemp) || exit 125
	"$@" >"$log" 2>&1 </dev/null || status=$?
	[ $status -eq 0 ] || cat "$log" >&2
	rm -f "$log"
	return $status
}

# build DIRECTORY TARGETS [CMake option...]: configures once, then builds what changed. TARGETS: words, ninja's names.
build() {
	local dir=$1 targets=$2
	shift 2
	mkdir -p "$dir" 2>/dev/null
	if [ ! -d "$dir" ]; then
		say "$dir cannot be made: set R3_BUILD to a directory that you may write to"
		exit 125
	fi
	if [ ! -w "$dir" ] || { [ -e "$dir/.ninja_log" ] && [ ! -w "$dir/.ninja_log" ]; }; then
		# Another user's, but nothing is left to do: good enough to run.
		# shellcheck disable=SC2086
		[ ! -e "$dir/build.ninja" ] || ! ninja -C "$dir" -n $targets 2>/dev/null | grep -q '^ninja: no work' || return 0
		say "$dir is not yours to write to: set R3_BUILD to a directory of your own, or remove it"
		exit 125
	fi
	if [ ! -e "$dir/build.ninja" ]; then
		say "configuring in $dir"
		quietly cmake -S "$root" -B "$dir" -G Ninja "$@" || return 125
	fi
	# shellcheck disable=SC2086
	quietly progress ninja -C "$dir" $targets || return 125
}

# progress NINJA...: says on the terminal, if there is one, how far it is; what ninja prints goes to stdout as ever.
# `quietly` has taken the usual descriptors: 6 is the standard error output, 7 the same if that is a terminal.
progress() {
	if ! { : >&7; } 2>/dev/null; then
		"$@" -n | grep -q '^ninja: no work' || echo "ring3: building, which takes a minute or two the first time" >&6
		"$@"
		return
	fi
	NINJA_STATUS='[%f/%t] ' "$@" | while IFS= read -r line; do
		printf '%s\n' "$line"
		[[ $line =~ ^\[([0-9]+/[0-9]+)\] ]] && printf '\rring3: building %s \e[K' "${BASH_REMATCH[1]}" >&7
	done
	local status=${PIPESTATUS[0]}
	printf '\r\e[K' >&7
	return "$status"
}

# heading NAME: with the seconds since the script's start, so that a log tells what took how long.
heading() {
	echo "=== $1 (at $SECONDS s)"
}

passed=0 failed=0
run_as=() # command in front of ctest: another user, say

# tests NAME DIRECTORY [ctest option...]: runs ctest there and adds its count to passed and failed.
tests() {
	local name=$1 dir=$2 log bad all
	shift 2
	heading "$name"
	log=$(mktemp) || exit 125
	# Bounded: each test has its own limit, and all of them have this one.
	timeout -k 10 2400 "${run_as[@]}" ctest --test-dir "$dir" -j2 --output-on-failure --repeat until-pass:2 --timeout 300 \
		--no-tests=error "$@" 2>&1 </dev/null | tee "$log"
	read -r bad all <<<"$(sed -n 's/.* tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$log")"
	rm -f "$log"
	count $((${all:-1} - ${bad:-1})) "${bad:-1}"
}

# step NAME COMMAND...: one more thing that passes or fails, and says so by its status.
step() {
	local name=$1 status=0
	shift
	heading "$name"
	"$@" || status=$?
	if [ $status -eq 0 ]; then
		count 1 0
	else
		echo "FAILED: $name"
		count 0 1
	fi
	return $status
}

count() {
	passed=$((passed + $1))
	failed=$((failed + $2))
}

# The last line of output, and the exit status.
summary() {
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
