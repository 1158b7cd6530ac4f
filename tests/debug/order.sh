# expect_in_order TEXTS OUTPUT: every line of the file TEXTS stands in the file OUTPUT, in this order.
expect_in_order() {
	awk 'NR == FNR { wanted[NR] = $0; count = NR; next }
		{
			line = $0
			while (at < count && (found = index(line, wanted[at + 1]))) {
				line = substr(line, found + length(wanted[at + 1]))
				at++
			}
		}
		END { if (at < count) { print "FAIL: not there, or not in order: " wanted[at + 1]; exit 1 } }' "$1" "$2" || {
		cat "$2"
		exit 1
	}
}
