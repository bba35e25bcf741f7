"""A real node in a directory of its own, on free ports of the loopback."""

import os
import random
import select
import signal
import socket
import subprocess
import time

BINARY = os.environ.get("TERN_BINARY", "target/release/tern")
# How long a node may take to open its doors, on a machine that does other work.
READY_SECONDS = 60
# Below those that systems give to outgoing connections: one of these could have taken a port before its server does.
PORTS = range(12_000, 32_000)


class Node:
    """Starts `tern serve`; `kill` is a power cut for the process, `stop` is polite."""

    def __init__(self, directory, *settings, disk=None, files=()):
        self.directory = str(directory)
        self.settings = list(settings)
        self.files = [str(file) for file in files]
        self.disk = disk
        self.process = None
        self.ports = {}
        self.start()

    def start(self, expect_ready=True):
        settings = [*self.places(), *self.settings]
        if self.disk:
            settings.append(f"tern.test.disk={self.disk}")
        command = [*self.within(), BINARY, "serve", *self.files]
        for setting in settings:
            command += ["--set", setting]
        self.log = open(os.path.join(self.directory, "stderr.log"), "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        if not expect_ready:
            return
        self.ready()

    def ready(self):
        """Waits until its doors are open, and learns where they are."""
        speaks, _, _ = select.select([self.process.stdout], [], [], READY_SECONDS)
        line = self.process.stdout.readline() if speaks else None
        assert line and line.startswith("ready "), f"no ready line but {line!r}; it said: {self.diagnostics()[-3000:]}"
        self.ports = dict(pair.split("=", 1) for pair in line.split()[1:])
        return self

    def places(self):
        """Where its files lie and where it listens."""

        def port(door):
            # The same ports after a restart, so that clients find the node again.
            return self.ports[door].rsplit(":", 1)[1] if door in self.ports else "0"

        return [
            f"dataDir={self.directory}/coordinator",
            f"log.dirs={self.directory}/topics",
            f"listeners=PLAINTEXT://127.0.0.1:{port('kafka')}",
            f"clientPort={port('zookeeper')}",
            "clientPortAddress=127.0.0.1",
            f"mqtt.listeners=tcp://127.0.0.1:{port('mqtt')}",
            f"http.listener=127.0.0.1:{port('http')}",
        ]

    def within(self):
        """The command that runs its command, if any."""
        return []

    @property
    def kafka(self):
        return self.ports["kafka"]

    @property
    def mqtt(self):
        host, port = self.ports["mqtt"].rsplit(":", 1)
        return host, int(port)

    @property
    def http(self):
        return self.ports["http"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def diagnostics(self):
        with open(os.path.join(self.directory, "stderr.log"), errors="replace") as log:
            return log.read()

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")


def free_ports(count):
    """Ports of the loopback that nobody uses now."""
    free = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                free.append(port)
        if len(free) == count:
            return free
    raise AssertionError("no port is free")


def raw(address, data, seconds=5, half_close=False, enough=None):
    """Sends bytes and returns all that comes back until it is `enough`, the peer closes or the time is up."""
    if isinstance(address, str):
        host, port = address.rsplit(":", 1)
        address = (host, int(port))
    got = b""
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline and (enough is None or len(got) < enough):
                part = connection.recv(65536)
                if not part:
                    break
                got += part
        except (TimeoutError, ConnectionError):
            pass
    return got


def eventually(question, seconds=60, pause=0.02):
    """Asks until the answer is true; the last answer is returned."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer or time.monotonic() > deadline:
            return answer
        time.sleep(pause)
