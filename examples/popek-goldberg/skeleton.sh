#!/bin/sh
# Makes the skeleton of an exercise out of its solution:  skeleton.sh SOLUTION SKELETON
# What stands between "EXERCISE: ..." and "END" is left out, and the words stay as what is to be done.
exec awk '
	NR == 2 { sub(/Solution of/, "Exercise of"); sub(/:.*/, ": see docs/lessons/, and look for TODO."); print; next }
	NR > 2 && !begun { if (/\*\//) { begun = 1; print } ; next }
	/\/\* END \*\// { left_out = 0; next }
	sub(/\/\* EXERCISE:/, "/* TODO:") { print; left_out = 1; next }
	!left_out' "$1" >"$2"
