#!/usr/bin/env python3
"""gdb moves the symbols of a Linux to where KASLR has put it, as docs/linux.md says:  kaslr.py DIRECTORY INITRAMFS RING3 run [option...]

The symbols are those that the running kernel tells, brought back to where a kernel is linked; a Debian package with all
of them has some hundred MiB. Status 77: kernel or gdb cannot be had here."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from console import Console  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY, OTHER = "entry_SYSCALL_64", "start_kernel"
LINKED = 0xFFFFFFFF81C00000  # where a kernel has ENTRY without KASLR, or thereabouts
MOVE = f"symbol-file vmlinux -o $lstar-(long)&{ENTRY}"


def skip(what):
    print(f"skipped: {what} cannot be had here")
    sys.exit(77)


def find_kernel(directory):
    found = subprocess.run([os.path.join(HERE, "kernel.sh"), directory, "linux-image-cloud-amd64", "boot/vmlinuz-*-cloud-amd64"],
                           stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else skip("the kernel")


def symbols(console):
    """Where the kernel says that they are."""
    console.expect("shell ready")
    console.send(f"grep -E ' ({ENTRY}|{OTHER})$' /proc/kallsyms; echo to''ld")
    console.expect("\ntold")
    told = dict(re.findall(r"([0-9a-f]{16}) [tT] (\w+)\r?\n", console.text.decode("utf-8", "replace")))
    return {name: int(address, 16) for address, name in told.items()}


def make_vmlinux(work, running):
    linked = {name: address - running[ENTRY] + LINKED for name, address in running.items()}
    subprocess.run(["cc", "-nostdlib", "-static", "-o", "vmlinux", "-x", "c", "/dev/null", "-Wl,-e,0",
                    *(f"-Wl,--defsym={name}={address:#x}" for name, address in linked.items())], cwd=work, check=True)


def main():
    directory, initramfs, *ring3 = sys.argv[1:]
    kernel = find_kernel(directory)
    if not shutil.which("gdb") or not shutil.which("cc"):
        skip("gdb or a compiler")
    with tempfile.TemporaryDirectory() as work:
        console = Console([*ring3, "--gdb", f"unix:{work}/gdb", "-initrd", initramfs, "-append", "console=ttyS0",
                           "-kernel", kernel], 250)
        running = symbols(console)
        make_vmlinux(work, running)
        told = subprocess.run(["gdb", "-nx", "-q", "-batch", "-iex", "set auto-load off", "-ex", f"target remote {work}/gdb",
                               "-ex", "symbol-file vmlinux", "-ex", MOVE, "-ex", f"print &{OTHER}", "-ex", "detach"],
                              cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        if f") {running[OTHER]:#x}\n" not in told.stdout:
            console.fail(f"{OTHER} is at {running[OTHER]:#x}, gdb says\n{told.stdout}")
        with open(os.path.join(HERE, "../../docs/linux.md"), encoding="utf-8") as page:
            if MOVE not in page.read():
                console.fail(f"docs/linux.md has no '{MOVE}'")
        console.send("poweroff -f")
        console.finish(0)


main()
