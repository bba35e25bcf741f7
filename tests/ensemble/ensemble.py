"""Three nodes of one ensemble on the loopback, each a process with directories and ports of its own."""

import contextlib
import os
import random
import shutil
import socket

from node import Node, eventually

SECRET = "a secret that every member of this test knows"


# Below those that systems give to outgoing connections: one of these could have taken a port before its node does.
PORTS = range(12_000, 32_000)


def free_ports(count):
    """Ports that nobody uses now."""
    free = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                free.append(port)
        if len(free) == count:
            return free
    raise AssertionError("no port is free")


class Member(Node):
    """One of them; `start` does not wait, `ready` does."""

    def __init__(self, number, directory, settings, **more):
        self.number = number
        os.makedirs(directory, exist_ok=True)
        super().__init__(directory, *settings, **more)

    def start(self, expect_ready=False):
        super().start(expect_ready=False)

    def lose_disk(self):
        for name in ("coordinator", "topics"):
            shutil.rmtree(os.path.join(self.directory, name))

    @property
    def zookeeper(self):
        return self.ports["zookeeper"]


class Ensemble:
    """All of them, by number from 1."""

    def __init__(self, directory, count=3, tick_ms=400, peers=None):
        self.directory = directory
        if peers is None:
            ports = free_ports(2 * count)
            peers = {number: ("127.0.0.1", ports[2 * number - 2], ports[2 * number - 1]) for number in range(1, count + 1)}
        self.peer_ports = {number: ports for number, (_, *ports) in peers.items()}
        lines = [f"server.{number}={host}:{data}:{quorum}" for number, (host, data, quorum) in peers.items()]
        secret = directory / "secret"
        secret.write_text(SECRET)
        self.settings = [*lines, f"tickTime={tick_ms}", f"tern.peer.secret.file={secret}", "4lw.commands.whitelist=*"]
        self.members = {}

    def start(self, number, *settings):
        directory = self.directory / f"node{number}"
        member = self.make(number, directory, [f"broker.id={number}", *self.settings, *settings])
        self.members[number] = member
        return member

    def make(self, number, directory, settings):
        return Member(number, directory, settings)

    def start_all(self):
        for number in self.peer_ports:
            self.start(number)
        for member in self.members.values():
            member.ready()

    def role(self, number):
        """What the node says it is."""
        host, port = self.members[number].zookeeper.rsplit(":", 1)
        try:
            with socket.create_connection((host, int(port)), timeout=2) as connection:
                connection.sendall(b"srvr")
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
        except OSError:
            return None
        if b"not currently serving" in answer:
            return "read-only"
        for line in answer.decode().splitlines():
            if line.startswith("Mode: "):
                return line[6:]
        return None

    def alive(self):
        return [number for number, member in self.members.items() if member.process.poll() is None]

    def leader(self, seconds=60):
        """The number of the one that leads."""

        def find():
            leaders = [number for number in self.alive() if self.role(number) == "leader"]
            return leaders[0] if len(leaders) == 1 else None

        leader = eventually(find, seconds)
        assert leader, {number: self.role(number) for number in self.alive()}
        return leader

    def followers(self):
        leader = self.leader()
        return [number for number in self.alive() if number != leader]

    def end(self):
        """Kills who still runs; what all of them said."""
        for member in self.members.values():
            if member.process.poll() is None:
                member.kill()
        return "\n".join(member.diagnostics() for member in self.members.values())


@contextlib.contextmanager
def running(directory, *settings, tick_ms=400):
    """Three nodes that have formed an ensemble, and that end without a panic."""
    nodes = Ensemble(directory, tick_ms=tick_ms)
    nodes.settings += settings
    try:
        nodes.start_all()
        yield nodes
    finally:
        said = nodes.end()
    assert "panicked" not in said, said
