#!/bin/sh
# The SHA-256 of 64 MiB in tinix's file system against the host's answer: sha256.sh RING3 KERNEL INITRAMFS
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
seq 1 10000000 | head -c 67108864 | sha256sum | sed 's/-$/\/tmp\/big/' >"$work/expected"
cat >"$work/script" <<'X'
#!/bin/sh
seq 1 10000000 | head -c 67108864 >/tmp/big
sha256sum /tmp/big
X
"$(dirname "$0")/run.sh" "$1" "$2" "$3" 0 "$work/expected" "$work/script" --memory 256M --append init=/t/run
