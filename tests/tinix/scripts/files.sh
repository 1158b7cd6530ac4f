#!/bin/sh
# The file system: names, links, attributes, archives.
umask 022
mkdir /tmp/dir && cd /tmp/dir || exit 1
mkdir -p a/b/c; echo data >a/b/c/f; ln a/b/c/f a/hard; ln -s b/c/f a/soft; ln -s nowhere a/dangling
touch -d '2001-02-03 04:05:06' a/hard; chmod 640 a/hard; chown 12:34 a/hard
ls -l a | grep hard
stat -c '%n %F %a %u:%g %h' a a/hard; stat -c '%n %F %s %a %u:%g %h' a/hard a/soft a/b/c/f
cat a/soft; cat a/dangling 2>&1; readlink a/dangling; readlink -f a/soft
find a | sort
cd a/b; pwd; cd ../../a/b/c/..; pwd; cd /tmp/dir
mv a/hard a/b/moved; cat a/b/moved; mv a/b/c d; ls d; ls a/b
cp -r d e; echo changed >e/f; cat d/f e/f
rmdir a 2>&1; rm a/dangling; rm -r d e; ls
mkdir loop; ln -s ../loop/x loop/x; cat loop/x 2>&1
mkdir x; mv x x/y 2>&1; rm -r x loop
echo abcdef >t; truncate -s 3 t; cat t; echo; truncate -s 8192 t; wc -c <t; rm t
dd if=/dev/zero of=sparse bs=1 count=1 seek=1000000000 2>/dev/null; stat -c '%s %b' sparse; rm sparse
mkfifo p; (echo through the fifo >p) & cat p; rm p
seq 1 5000 >n; cp n n2; cmp n n2 && echo same; echo x >>n2; cmp n n2 2>&1; rm n2
gzip n && ls n.gz && gunzip n.gz && sha256sum n
tar czf t.tgz a n; mkdir u; tar xzf t.tgz -C u; (cd u; find . | sort; cmp n ../n && echo same); tar tzf t.tgz | wc -l
dd if=n of=o bs=512 skip=2 count=3 2>&1; wc -c <o
find / -xdev -name 'busybox' -o -xdev -name run -type f | sort
find u -type f -exec wc -c {} + | tail -n 1
cd /; rm -r /tmp/dir; ls /tmp
i=0; mkdir /tmp/many; while [ $i -lt 500 ]; do : >/tmp/many/$i; i=$((i + 1)); done
ls /tmp/many | wc -l; rm -r /tmp/many; ls /tmp
wc -c </dev/null; head -c 5 /dev/zero | od -An -tx1; head -c 1000 /dev/urandom | wc -c
echo x 2>&1 >/dev/full; echo "full $?"
[ -c /dev/tty ] && [ -p /dev/stdin ] || echo 'tests of kinds work'
