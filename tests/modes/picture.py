#!/usr/bin/env python3
"""The image of what a guest has drawn, pixel by pixel:  picture.py WIDTH FIRST LAST RING3 run ARGUMENT...
The picture is WIDTH wide and shows lines FIRST to LAST less 1 of one whose pixels are their column and their line."""
import os
import subprocess
import sys
import tempfile

width, first, last = (int(word) for word in sys.argv[1:4])
with tempfile.TemporaryDirectory() as folder:
    image = os.path.join(folder, "image.ppm")
    done = subprocess.run([*sys.argv[4:6], "--screenshot", image, *sys.argv[6:]], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        sys.exit(f"FAIL: status {done.returncode}")
    with open(image, "rb") as file:
        got = file.read()
want = b"P6\n%d %d\n255\n" % (width, last - first) + b"".join(
    bytes((0x40, y & 255, x & 255)) for y in range(first, last) for x in range(width))
if got != want:
    differs = next((n for n, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
    sys.exit(f"FAIL: {len(got)} bytes for {len(want)}, which differ from {differs} on")
