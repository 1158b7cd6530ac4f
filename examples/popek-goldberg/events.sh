#!/bin/sh
# What passed between a guest and the monitor, without times and addresses:  events.sh [options of ring3 run] GUEST
# One line an event: u for the guest's user mode or k for its kernel; what happened; the instruction, where there is one.
# RING3 names another ring3 than build/ring3.
"${RING3:-build/ring3}" run "$@" 2>&1 >/dev/null | sed -E \
	's/^ *[0-9.]+ v0 ([ku]) 0x[0-9a-f]+( [^ ]+\+0x[0-9a-f]+)? +([a-z]+ [^ (]+)(\(instruction="([^"]*)")?.*/\1 \3 \5/; s/ $//'
