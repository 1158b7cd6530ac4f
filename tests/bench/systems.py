"""The systems that measure.py compares: how each is started with a program, and what it needs to be there."""
import glob
import os
import shutil
import subprocess

MEMORY = 512  # MiB, of every machine that has memory of its own
# At the shell's prompt: the last thing that all of them print before they wait.
PROMPT_SCRIPT = """#!/bin/sh
[ -c /dev/console ] || mount -t devtmpfs none /dev
exec sh -il </dev/console >/dev/console 2>&1
"""
PROFILE = "PS1='ready> '\n"


class Tree:
    """What all systems find as their root: busybox and the program that measures; as a directory and as an archive."""

    def __init__(self, build, source, work):
        self.path = os.path.join(work, "tree")
        self.archive = os.path.join(work, "tree.cpio")
        rootfs = os.path.join(work, "rootfs")
        os.makedirs(os.path.join(rootfs, "etc"))
        shutil.copy(os.path.join(build, "tests/bench/bench_user"), rootfs)
        for name, text, mode in [("etc/profile", PROFILE, 0o644), ("prompt", PROMPT_SCRIPT, 0o755)]:
            path = os.path.join(rootfs, name)
            with open(path, "w") as file:
                file.write(text)
            os.chmod(path, mode)
        busybox = shutil.which("busybox")
        if not busybox or not shutil.which("cpio"):
            raise SystemExit("measure.py: needs busybox-static and cpio: apt-get install busybox-static cpio")
        subprocess.run([os.path.join(source, "examples/tinix/mkinitramfs.sh"), busybox, rootfs, self.archive], check=True)
        os.makedirs(self.path)
        with open(self.archive, "rb") as archive:
            subprocess.run(["cpio", "--quiet", "-id"], stdin=archive, cwd=self.path, check=True)


class System:
    """`program(words)` and `prompt()` give the command that runs bench_user, or a shell; `missing()` what it lacks."""

    prompt_tty = True
    measures = []  # all

    def __init__(self, key, title):
        self.key, self.title = key, title

    def missing(self):
        return None


class Native(System):
    def __init__(self, tree):
        super().__init__("native", "native")
        self.tree = tree

    def program(self, words):
        return [os.path.join(self.tree.path, "bench_user"), "--dir", "/dev/shm"] + words

    def prompt(self):
        return ["env", "-i", "PS1=ready> ", os.path.join(self.tree.path, "bin/busybox"), "sh", "-i"]


class Tinix(System):
    def __init__(self, key, title, build, tree, options, pv="on", measures=()):
        super().__init__(key, title)
        self.tree, self.options, self.pv, self.measures = tree, options, pv, list(measures)
        self.ring3 = os.path.join(build, "ring3")
        self.kernel = os.path.join(build, "examples/tinix.elf")

    def run(self, memory, words):
        return [self.ring3, "run", "-m", f"{memory}M", *self.options, "--module", self.tree.archive,
                "-a", f"pv={self.pv} {words}", self.kernel]

    def program(self, words):
        return self.run(MEMORY, "init=/bench_user -- " + " ".join(words))

    def prompt(self):
        return None if self.measures else self.run(256, "init=/bin/sh -- -il")


class UserModeLinux(System):
    def __init__(self, tree, work):
        super().__init__("uml", "User Mode Linux")
        self.tree, self.work = tree, work

    def missing(self):
        return None if shutil.which("linux.uml") else "linux.uml (package user-mode-linux)"

    def run(self, init, words):
        # A console= of our own, or it would add one behind the program's words.
        return ["linux.uml", f"mem={MEMORY}M", "root=/dev/root", "rootfstype=hostfs", f"rootflags={self.tree.path}", "rw",
                f"init={init}", "con=null", "con0=fd:0,fd:1", "console=tty0", "quiet", f"uml_dir={self.work}",
                "umid=uml", "--"] + words

    def program(self, words):
        return self.run("/bench_user", ["--init"] + words)

    def prompt(self):
        return self.run("/prompt", [])


class GVisor(System):
    prompt_tty = False

    def __init__(self, tree, work):
        super().__init__("gvisor", "gVisor, ptrace")
        self.tree, self.work = tree, work

    def missing(self):
        return None if shutil.which("runsc") else "runsc (package runsc)"

    def run(self, words):
        return ["runsc", "--rootless", "--root", os.path.join(self.work, "runsc"), "--platform=ptrace", "--network=none",
                "do", "-root", self.tree.path] + words

    def program(self, words):
        return self.run(["/bench_user"] + words)

    def prompt(self):
        return self.run(["/bin/sh", "-il"])


class Linux(System):
    """Debian's kernel, as packaged, on a machine of `machine`: that starts it with what run() says."""

    def __init__(self, key, title, tree, kernel):
        super().__init__(key, title)
        self.tree, self.kernel = tree, kernel

    def missing(self):
        return None if self.kernel else "kernel (package linux-image-cloud-amd64)"

    def run(self, words):
        return [*self.machine(), "-m", f"{MEMORY}M", "-kernel", self.kernel, "-initrd", self.tree.archive,
                "-append", "console=ttyS0 quiet loglevel=0 panic=-1 " + words]

    def program(self, words):
        return self.run("rdinit=/bench_user -- --init " + " ".join(words))

    def prompt(self):
        return self.run("rdinit=/prompt")


class Qemu(Linux):
    def __init__(self, tree, kernel):
        super().__init__("qemu", "QEMU TCG, Linux", tree, kernel)

    def missing(self):
        if not shutil.which("qemu-system-x86_64"):
            return "qemu-system-x86_64 (package qemu-system-x86)"
        return super().missing()

    def machine(self):
        return ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]


class Ring3(Linux):
    def __init__(self, build, engine, tree, kernel):
        super().__init__(f"linux_{engine}", f"Linux, engine {engine}", tree, kernel)
        self.words = [os.path.join(build, "ring3"), "run", "--engine", engine]

    def machine(self):
        return self.words


class OnOneCpu(System):
    """Another system, kept on one of the host's CPUs: where its wake-ups need not cross them, it may be faster."""

    def __init__(self, system):
        super().__init__(system.key + "1", system.title + ", one CPU")
        self.system = system

    def missing(self):
        return self.system.missing()

    def program(self, words):
        return ["taskset", "-c", str(max(os.sched_getaffinity(0)))] + self.system.program(words)

    def prompt(self):
        return None


def debian_kernel(build, source):
    """As installed, or out of its package, which is fetched once; None: it cannot be had."""
    find = os.path.join(source, "tests/kernels/kernel.sh")
    found = subprocess.run([find, os.path.join(build, "tests/kernels"), "linux-image-cloud-amd64",
                            "boot/vmlinuz-*-cloud-amd64"], stdout=subprocess.PIPE, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


def all_systems(build, source, tree, work):
    kernel = debian_kernel(build, source)
    return [
        Native(tree),
        Tinix("tinix", "tinix", build, tree, []),
        Tinix("tinix1", "tinix, one CPU", build, tree, ["--cpus", "1"]),
        Tinix("tinix2", "tinix, two CPUs", build, tree, ["--cpus", "2"]),
        Tinix("tinix_off", "tinix, pv=off", build, tree, [], pv="off"),
        *both(UserModeLinux(tree, work)),
        *both(GVisor(tree, work)),
        *both(Qemu(tree, kernel)),
        *[Ring3(build, engine, tree, kernel) for engine in ("translate", "hybrid")],
        # User mode alone: what the kernel does is interpreted here and measured elsewhere.
        Tinix("hybrid", "tinix, engine hybrid", build, tree, ["--engine", "hybrid"], measures=["compute", "memory"]),
    ]


def both(system):
    return [system, OnOneCpu(system)]


class Loops:
    """A processor that runs the loops of loops.h: key, title, command, and what it lacks."""

    def __init__(self, key, title, command, lacks=None, env=None):
        self.key, self.title, self.command, self.lacks, self.env = key, title, command, lacks, env

    def missing(self):
        return self.lacks


def bochs(image, work):
    lacks = None
    for path, package in [("/usr/bin/bochs", "bochs"), ("/usr/share/bochs/BIOS-bochs-latest", "bochsbios"),
                          ("/usr/share/vgabios/vgabios.bin", "vgabios")]:
        if not os.path.exists(path):
            lacks = f"{path} (package {package})"
    if not glob.glob("/usr/lib/*/bochs/plugins/libbx_term_gui.so"):
        lacks = "its text display (package bochs-term)"
    config, commands = os.path.join(work, "bochsrc"), os.path.join(work, "bochs.commands")
    with open(config, "w") as file:
        file.write(f"""plugin_ctrl: speaker=0
config_interface: textconfig
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
megs: 64
cpu: model=corei7_haswell_4770, count=1, ips=1000000000
clock: sync=none
floppya: 1_44={image}, status=inserted
boot: floppy
port_e9_hack: enabled=1
log: /dev/null
panic: action=fatal
error: action=ignore
info: action=ignore
""")
    with open(commands, "w") as file:
        file.write("c\n")  # Debian builds it with its debugger, which waits for that
    return Loops("bochs", "Bochs", ["bochs", "-q", "-f", config, "-rc", commands], lacks, {"TERM": "linux"})


def all_loops(build, work):
    image = os.path.join(build, "tests/bench/loops.img")
    guest = os.path.join(build, "tests/bench/loops_guest.elf")
    run = [os.path.join(build, "ring3"), "run", "--engine"]
    qemu = None if shutil.which("qemu-system-x86_64") else "qemu-system-x86_64 (package qemu-system-x86)"
    return [
        Loops("trap", "the processor (engine `trap`)", run + ["trap", guest]),
        Loops("interpret", "engine `interpret`", run + ["interpret", guest]),
        bochs(image, work),
        Loops("tcg", "QEMU TCG", ["qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-display", "none", "-nodefaults",
                                  "-drive", f"if=floppy,format=raw,file={image}", "-debugcon", "stdio"], qemu),
    ]
