#!/bin/bash
# Raw pointers into guest RAM stay where guest_mem.list allows them:  guest_mem.sh ROOT
# What one can point to, one can read twice, with guest code changing it in between.
set -eu
cd "$1"
. tests/checks/files.sh

found=$(files '^(monitor|hypercalls|shadowpt)/.*\.[chS]$' | xargs grep -lwE -e 'gm_ptr|(vm->|vm\.|->)mem\.base|gm->base' || true)
allowed=$(sed '/^#/d; s/ .*//' tests/checks/guest_mem.list)
bad=$(LC_ALL=C comm -23 <(LC_ALL=C sort <<<"$found") <(LC_ALL=C sort <<<"$allowed"))
stale=$(LC_ALL=C comm -13 <(LC_ALL=C sort <<<"$found") <(LC_ALL=C sort <<<"$allowed"))
[ -z "$bad" ] || echo "points into guest RAM, and has no line in tests/checks/guest_mem.list:" $bad
[ -z "$stale" ] || echo "does not point into guest RAM: drop the line in tests/checks/guest_mem.list:" $stale
[ -z "$bad$stale" ]
