#!/bin/bash
# Debian's dynamic programs, as they are installed here, under tinix: they print what they print natively.
#   debian.sh RING3 KERNEL INITRAMFS MKROOT
# Status 77 where fewer than twenty of them are installed; bash counts five times.
set -u
ring3=$1 kernel=$2 initramfs=$3 mkroot=$4
wanted=24

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Program, and a command with it whose output does not depend on where it runs. $T is a directory with the file `text`.
commands() {
	cat <<'END'
bash	bash -c 'a=(x y z); for i in "${!a[@]}"; do echo $i ${a[$i]^^}; done; cat <(echo substituted); [[ abc =~ b(.) ]] && echo ${BASH_REMATCH[1]}'
bash	bash -c 'coproc { while read l; do echo got $l; done; }; echo hi >&${COPROC[1]}; read r <&${COPROC[0]}; echo $r; eval "exec ${COPROC[1]}>&-"; wait; echo $?'
bash	bash -c '(sleep 0.1; exit 3) & wait -n; echo $?; set -o pipefail; false | true; echo $?; mapfile -t l < <(printf "a\nb\n"); echo ${#l[@]}'
bash	bash -c 'mkfifo $T/f; echo fifo >$T/f & cat $T/f; rm $T/f; exec 3< <(echo inherited); cat <&3; (trap "echo left" EXIT; exit 2); echo $?'
bash	bash -c '(ulimit -f 1; head -c 5000 /dev/zero >$T/big) 2>/dev/null; echo $?; wc -c <$T/big; rm $T/big; sleep 5 & kill -STOP $!; kill -CONT $!; kill $!; wait $!; echo $?' 2>/dev/null
dash	dash -c 'x=$(echo in dash | wc -w); echo $x; trap "echo trapped" USR1; kill -USR1 $$'
perl	perl -e 'my %h = map { $_ => length } qw(one three); print "$_ $h{$_}\n" for sort keys %h; my $p = fork; exit 3 unless $p; waitpid $p, 0; print $? >> 8, "\n"; print `echo child`'
sort	printf '10\n9\n1\n' | sort -n
wc	wc -l <$T/text
seq	seq -s, 1 10
od	printf 'bytes' | od -An -tx1
sha256sum	sha256sum <$T/text
tr	tr a-z A-Z <$T/text
grep	grep -c -E 'o(n|u)' $T/text
sed	sed -n -e 's/\(t\)\(h\)/\2\1/p' $T/text
mawk	mawk '{ n += length($1) } END { print n, 2 ^ 10 }' $T/text
tar	tar -C $T -cf - text | tar -tvf - | wc -l
gzip	gzip -c <$T/text | gzip -dc
xz	xz -c <$T/text | xz -dc
find	find $T -name 't*' -size -2 -printf '%f %y\n'
xargs	printf '1 2 3' | xargs -n 1 echo item
diff	echo two | diff - $T/text
getopt	getopt -o ab: -- -a -b 1 rest
make	printf 'all: a b\na b:\n\t@echo made $@\n' >$T/m; make -s -C $T -f m -j2 2>/dev/null | sort
git	git hash-object --stdin <$T/text
openssl	openssl dgst -sha256 <$T/text
sqlite3	sqlite3 $T/db 'create table t(a); insert into t values(20),(1); select sum(a) * 2 from t;'
jq	echo '{"a":[1,2]}' | jq -Mc '.a | add'
bc	echo '2^100' | bc
END
}

programs=()
{
	# Not busybox's shell, which takes its own applets for any name.
	echo "#!$(command -v bash)"
	echo '{'
	echo 'PATH=/usr/bin:/usr/sbin:/bin:/sbin LC_ALL=C; export PATH LC_ALL'
	echo 'mkdir -p $T; printf "one line\ntwo lines\nthe third\n" >$T/text'
} >"$work/script"
while IFS=$'\t' read -r program command; do
	path=$(PATH=/usr/bin:/usr/sbin:/bin:/sbin command -v "$program") || continue
	ldd "$path" >/dev/null 2>&1 || continue
	programs+=("$path")
	printf 'echo "== %s"\n%s\necho "status $?"\n' "$program" "$command" >>"$work/script"
done < <(commands)
echo '} 2>&1 | cat' >>"$work/script" # no terminal, there as here
if [ ${#programs[@]} -lt $wanted ]; then
	echo "only ${#programs[@]} of the programs are installed here, not $wanted"
	exit 77
fi

"$mkroot" "$work/root.cpio" bash "${programs[@]}" || exit 1
mkdir -p "$work/tree/t"
sed '2i export T=/tmp/debian' "$work/script" >"$work/tree/t/run"
chmod 755 "$work/tree/t/run"
(cd "$work/tree" && find t | cpio --quiet -R 0:0 -o -H newc) >"$work/test.cpio"
cat "$initramfs" "$work/root.cpio" "$work/test.cpio" >"$work/initramfs.cpio"

T=$work/native bash "$work/script" >"$work/expected" 2>"$work/native.err" </dev/null
"$ring3" run --timeout "${R3_LIMIT:-200}" -m 512M --module "$work/initramfs.cpio" -a init=/t/run "$kernel" \
	</dev/null 2>"$work/err" | tr -d '\r' >"$work/got"
if ! diff -u "$work/expected" "$work/got"; then
	echo "FAIL: under tinix they print something else"
	cat "$work/err"
	exit 1
fi
echo "${#programs[@]} programs"
