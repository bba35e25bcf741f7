"""A switch and boards on it: network namespaces joined by veth pairs and a bridge, with nothing but iproute2.

The test itself moves into the switch's namespace, where its clients reach every board by the standard ports. Each board
has a mount namespace as well, with a small disk of its own. A namespace lives as long as a process that sleeps in it:
nothing of this is left when the test ends, however it ends.
"""

import ctypes
import os
import pathlib
import subprocess

import pytest

PREFIX = "10.9.0."
SWITCH = f"{PREFIX}254"
# An address of the link layer that nobody has: what is sent there is lost in silence.
NOBODY = "02:00:00:00:00:99"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def lacking(what):
    """Without namespaces these tests are a failure under CI, and a loud skip elsewhere."""
    sentence = f"network namespaces cannot be made: {what}; allowed: root, with util-linux and iproute2 installed"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


def address(number):
    """The address of a board."""
    return f"{PREFIX}{number}"


class Sleeper:
    """A process that holds namespaces and dies with the test."""

    def __init__(self, *kinds):
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *kinds, "sh", "-c", "echo; exec sleep infinity"]
        try:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError as error:
            lacking(error)
        if self.process.stdout.readline() != b"\n":
            lacking(self.process.stderr.read().decode().strip())
        self.pid = self.process.pid

    def inside(self, *kinds):
        """The words that make a command run in the namespaces."""
        return ["nsenter", "--target", str(self.pid), *kinds, "--"]

    def end(self):
        self.process.kill()
        self.process.wait()


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"


class Network:
    """The switch, the boards on it, and what can be done to their links."""

    def __init__(self, count, disk_bytes, directory):
        self.directory = pathlib.Path(directory)
        self.switch = Sleeper("--net")
        self.boards = {number: Sleeper("--net", "--mount") for number in range(1, count + 1)}
        self.outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        within = os.open(f"/proc/{self.switch.pid}/ns/net", os.O_RDONLY)
        # Threads that clients start later inherit it.
        assert LIBC.setns(within, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(within)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "switch", "type", "bridge", "forward_delay", "0", "stp_state", "0")
        run("ip", "address", "add", f"{SWITCH}/24", "dev", "switch")
        run("ip", "link", "set", "switch", "up")
        for number in self.boards:
            self._attach(number, disk_bytes)

    def _attach(self, number, disk_bytes):
        port = f"board{number}"
        run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.boards[number].pid)
        run("ip", "link", "set", port, "master", "switch", "up")
        self.on(number, "ip", "link", "set", "lo", "up")
        self.on(number, "ip", "address", "add", f"{address(number)}/24", "dev", "eth0")
        self.on(number, "ip", "link", "set", "eth0", "up")
        disk = self.directory / f"disk{number}"
        disk.mkdir()
        self.on(number, "mount", "-t", "tmpfs", "-o", f"size={disk_bytes}", "tmpfs", disk)

    def within(self, number):
        """The words that make a command run on a board."""
        return self.boards[number].inside("--net", "--mount")

    def on(self, number, *command):
        """Runs a command on a board."""
        run(*self.within(number), *command)

    def disk(self, number):
        """The disk of a board as the test sees it."""
        return pathlib.Path(f"/proc/{self.boards[number].pid}/root{self.directory}/disk{number}")

    def unplug(self, number):
        """Pulls the cable of a board."""
        run("ip", "link", "set", f"board{number}", "down")

    def plug(self, number):
        """Puts it back."""
        run("ip", "link", "set", f"board{number}", "up")

    def lose(self, sender, receiver):
        """From now on nothing that one board sends to another arrives, and neither is told."""
        self.on(sender, "ip", "neighbour", "replace", address(receiver), "lladdr", NOBODY, "nud", "permanent", "dev", "eth0")

    def deliver(self, sender, receiver):
        """Undoes it."""
        self.on(sender, "ip", "neighbour", "del", address(receiver), "dev", "eth0")

    def end(self):
        assert LIBC.setns(self.outside, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(self.outside)
        for sleeper in (*self.boards.values(), self.switch):
            sleeper.end()
