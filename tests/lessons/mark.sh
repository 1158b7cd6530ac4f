#!/bin/sh
# The marking of an exercise: its solution passes, its skeleton does not:  mark.sh ROOT RING3 LESSONS_DIR NAME
set -u
root=$1 lessons=$3 name=$4
export RING3="$2"
mark=$root/examples/popek-goldberg/mark.sh

"$mark" "$name" "$lessons/solutions/$name.elf" || { echo "FAIL: the solution is not accepted"; exit 1; }
grep -q TODO "$lessons/exercises/$name.c" || { echo "FAIL: nothing is left to do"; exit 1; }
"$mark" "$name" "$lessons/exercises/$name.elf" && { echo "FAIL: the skeleton is accepted"; exit 1; }
exit 0
