#!/usr/bin/python3
"""A bad debugger at the guest's port:  peer.py RING3 KERNEL CASE [option of ring3 run...].
The guest must end as if nobody had been there."""
import encodings.idna  # somebody else may not be able to load it
import os
import random
import re
import socket
import subprocess
import sys
import tempfile

ring3, kernel, case, *given = sys.argv[1:]
OUTPUT = b"time stood still\ncounter 6, answer 7\n"


def packet(body):
    return b"$" + body + b"#%02x" % (sum(body) & 255)


class Guest:
    """A guest that waits for a debugger at a socket; its end is judged by finish()."""

    def __init__(self, address, *options):
        where = ["--gdb", address] if address else ["-s"]
        self.process = subprocess.Popen([ring3, "run", "--timeout", "60", *where, "-S", *given, *options, kernel],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line = self.process.stderr.readline().decode()
        found = re.match(r"ring3: gdb may connect: target remote (\S+)$", line)
        assert found, line
        self.where = found.group(1)

    def connect(self):
        if self.where.startswith("/"):
            peer = socket.socket(socket.AF_UNIX)
            peer.connect(self.where)
        else:
            host, port = self.where.rsplit(":", 1)
            peer = socket.create_connection((host.strip("[]"), int(port)))
        peer.settimeout(30)
        return peer

    def finish(self, status=7, output=OUTPUT):
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == status, (self.process.returncode, out, err)
        assert out == output, (out, err)
        return err


waiting = {}  # by connection: what came behind the packet that was asked for


def receive(peer):
    data = waiting.get(peer, b"")
    while not (found := re.search(rb"\$([^#]*)#..", data, re.S)):
        more = peer.recv(4096)
        assert more, data
        data += more
    waiting[peer] = data[found.end():]
    peer.sendall(b"+")
    return found.group(1)


def answer(peer, body):
    """Sends one packet and returns the body of the answer, behind what a monitor command prints."""
    peer.sendall(packet(body))
    while (body := receive(peer)).startswith(b"O") and body != b"OK":
        pass
    return body


def release(peer):
    """A guest that was started with hold=1 goes on to its end when this debugger has gone."""
    symbols = subprocess.run(["nm", kernel], check=True, capture_output=True, text=True).stdout
    address = re.search(r"^([0-9a-f]+) . released$", symbols, re.M).group(1)
    assert answer(peer, b"M%s,8:0100000000000000" % address.encode()) == b"OK"
    go(peer)


def go(peer):
    """Has the guest run on, as the last thing that this debugger does in an orderly way."""
    peer.sendall(packet(b"D"))
    while peer.recv(4096):
        pass


def garbage(guest):
    peer = guest.connect()
    numbers = random.Random(1)
    # Nothing of it makes a packet: those that would be carried out are tried one by one below.
    for _ in range(200):
        peer.sendall(bytes(numbers.choice(b"\0\1\2qz%}*+-~\xff") for _ in range(numbers.randrange(1, 300))))
    assert answer(peer, b"?").startswith(b"T05"), "no answer after garbage"
    go(peer)


def orders(guest):
    peer = guest.connect()
    for body in (b"", b"\0", b"m", b"m,", b"mzz,1", b"m0,ffffffffffffffff", b"mffffffffffffffff,8", b"M0,4:zz",
                 b"M0,ffffffff:00", b"X0,10:", b"xffff800000000000,10", b"p", b"pffffffff", b"P0=", b"P0=1", b"G", b"G12",
                 b"Z", b"Z0", b"Z0,0,", b"Z9,0,1", b"Z2,3,ffffffffffffffff", b"Z2,1,8", b"z4,0,1", b"Z0,ffff800000000000,1",
                 b"H", b"Hg99", b"T99", b"vCont;", b"vCont;x", b"vCont;c:77", b"vFlashErase:0,1", b"qXfer:features:read:x:0,1",
                 b"qXfer:features:read:target.xml:ffffffff,ffff", b"qRcmd,", b"qRcmd,zz", b"qRcmd," + b"41" * 1500,
                 b"qSupported:" + b"x" * 3000, b"QStartNoAckMode1"[:5], b"!", b"R00", b"\xff" * 100):
        answer(peer, body)
    assert answer(peer, b"?").startswith(b"T05")
    go(peer)


def halves(guest):
    for part in (b"$", b"$m2", b"$m200000,4", b"$m200000,4#", b"$m200000,4#9", b"$}", b"+++", b"\x03"):
        peer = guest.connect()
        peer.sendall(part)
        peer.close()
        # The next one finds it stopped, wherever that is.
        peer = guest.connect()
        assert answer(peer, b"?")[:1] == b"T"
        if part != b"\x03":
            peer.sendall(b"$m200000,4#00")
            assert peer.recv(1) == b"-", "a wrong checksum was taken"
        if part == b"\x03":
            release(peer)
        peer.close()


def huge(guest):
    peer = guest.connect()
    assert answer(peer, b"m" + b"0" * 3000000) == b"E.packet longer than PacketSize"
    peer.sendall(b"$")
    for _ in range(50):
        peer.sendall(b"x" * 65536)
    peer.sendall(b"#01")
    assert peer.recv(1) == b"-"
    assert answer(peer, b"?").startswith(b"T05")
    go(peer)


def deaf(guest):
    """Asks for much and reads nothing, then is gone."""
    peer = guest.connect()
    for _ in range(2000):
        try:
            peer.sendall(packet(b"m200000,7ff"))
        except OSError:
            break
    peer.close()


def second(guest):
    """A second debugger waits its turn; each finds the guest stopped, breakpoints of the one before are gone."""
    first = guest.connect()
    assert answer(first, b"Z0,200010,1") == b"OK"
    other = guest.connect()
    first.close()
    assert answer(other, b"?").startswith(b"T")
    assert answer(other, b"m200010,1") != b"cc"
    release(other)


def reset(guest):
    """The connection outlives resets, and the next debugger finds the address, too."""
    peer = guest.connect()
    for _ in range(3):
        assert answer(peer, b"qRcmd," + b"system_reset".hex().encode()) == b"OK"
        assert answer(peer, b"?").startswith(b"T05")
    peer.close()
    peer = guest.connect()
    assert answer(peer, b"?").startswith(b"T")
    release(peer)


def burst(guest):
    """Ctrl-C in the same bytes as what has the guest run, which then makes no exit of its own."""
    peer = guest.connect()
    rip = bytes.fromhex(answer(peer, b"p10").decode())
    where = int.from_bytes(rip, "little")
    assert answer(peer, b"M%x,2:ebfe" % where) == b"OK"  # jmp to itself
    for order in (b"c", b"vCont;c", b"c%x" % where, b"C05") * 5:
        peer.sendall(packet(order) + b"\x03")
        assert receive(peer).startswith(b"T02"), order
    peer.sendall(packet(b"k"))
    guest.finish(130, b"")
    return True


def loopback():
    """Without a host it listens at the loopback interface alone."""
    guest = Guest(":0")
    host, port = guest.where.rsplit(":", 1)
    assert host == "127.0.0.1", guest.where
    listening = [line.split()[1] for line in open("/proc/net/tcp") if line.split()[3] == "0A"]
    assert "0100007F:%04X" % int(port) in listening, listening
    assert "00000000:%04X" % int(port) not in listening
    go(guest.connect())
    guest.finish()
    guest = Guest("0.0.0.0:0")
    assert guest.where.startswith("0.0.0.0:"), guest.where
    guest.where = guest.where.replace("0.0.0.0", "127.0.0.1")
    go(guest.connect())
    guest.finish()


def private():
    """Without an address it is a socket in a directory of the user's own, which outlives resets and not the guest."""
    with tempfile.TemporaryDirectory() as runtime:
        os.environ["XDG_RUNTIME_DIR"] = runtime
        guest = Guest(None, "--append", "hold=1")
        assert guest.where == "%s/ring3/gdb-%d" % (runtime, guest.process.pid), guest.where
        reset(guest)
        guest.finish()
        assert not os.path.exists(guest.where), "the socket was left"


STRANGER = 65534  # nobody


def as_stranger(attempt):
    """What attempt() gives, as its exit status, in a process of another user."""
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        result = 1
        try:
            result = attempt()
        finally:
            os._exit(result)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def stranger():
    """Whoever is not the guest's user is hung up on, and what he sent is not done, however soon he is gone."""
    if os.geteuid():
        print("SKIP: only root can be somebody else")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        for address in ("unix:" + work + "/gdb", ":0", "localhost:0", "[::1]:0"):
            try:
                guest = Guest(address)
            except AssertionError:
                if address != "[::1]:0":
                    raise
                continue  # no IPv6 here
            if guest.where.startswith("/"):
                os.chmod(guest.where, 0o777)

            def polite():
                peer = guest.connect()
                try:
                    peer.sendall(packet(b"?"))
                    return bool(peer.recv(100))
                except ConnectionError:
                    return 0

            def hasty():
                for _ in range(10):
                    peer = guest.connect()
                    try:
                        peer.sendall(packet(b"k"))
                    except ConnectionError:
                        pass
                    peer.close()
                return 0

            assert as_stranger(polite) == 0, "somebody else is served at " + address
            assert as_stranger(hasty) == 0
            peer = guest.connect()
            assert answer(peer, b"?").startswith(b"T05"), "the guest does not stand where it stood"
            go(peer)
            assert guest.finish().count(b"refused") == 1


def files():
    """Whoever reaches the port writes where the command line said, and nowhere else."""
    with tempfile.TemporaryDirectory() as work:
        named, other = work + "/named", work + "/other"
        with open(other, "w") as keys:
            keys.write("precious")
        guest = Guest(":0", "--core", named)
        peer = guest.connect()
        for path in (other, work + "/new", "../" * 20 + work + "/new", named + "x", ""):
            assert answer(peer, b"qRcmd," + ("core " + path).encode().hex().encode()) == b"OK"
        go(peer)
        guest.finish()
        assert sorted(os.listdir(work)) == ["named", "other"], os.listdir(work)
        with open(other) as keys:
            assert keys.read() == "precious"


if case in ("loopback", "private", "stranger", "files"):
    globals()[case]()
else:
    with tempfile.TemporaryDirectory() as work:
        held = ["--append", "hold=1"] if case in ("halves", "second", "reset") else []
        guest = Guest("unix:" + work + "/gdb", *held)
        if not globals()[case](guest):
            guest.finish()
        assert not os.path.exists(work + "/gdb"), "the socket was left"
