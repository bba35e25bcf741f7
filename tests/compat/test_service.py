"""The node under a service manager: what it tells systemd, how it writes for the journal, and what SIGHUP does."""

import os
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request

import pytest
from node import BINARY, Node, eventually, free_ports


class Manager:
    """Receives what a node would tell systemd."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.told = []
        # All the time: the kernel keeps ten messages for those who do not read, and a node does not wait for them.
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            self.told.extend(self.socket.recv(4096).decode().split("\n"))

    def has(self, state, count=1):
        return self.told.count(state) >= count


@pytest.fixture
def manager(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    return Manager(path)


def test_life_under_a_manager(tmp_path, manager, monkeypatch):
    """READY when the doors accept, WATCHDOG twice a period, RELOADING and READY around a reload, STOPPING before the end."""
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    file = tmp_path / "node.properties"
    file.write_text("log.retention.hours=24\n")
    node = Node(tmp_path, files=[file])
    assert eventually(lambda: manager.has("READY=1"))
    assert eventually(lambda: manager.has("WATCHDOG=1", 4))
    file.write_text("log.retention.hours=48\nlog.level=debug\n")
    node.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: manager.has("READY=1", 2))
    assert manager.has("RELOADING=1")
    said = node.diagnostics()
    assert 'log.retention.ms is "172800000" now and takes effect at the next start' in said, said
    assert "log.level=Debug is in force" in said, said
    file.write_text("log.retention.hours=never\n")
    node.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: manager.has("READY=1", 3))
    assert "SIGHUP: nothing is changed: " in node.diagnostics()
    file.write_text("mqtt.map.1=garbage ->\n")
    node.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: manager.has("READY=1", 4))
    assert re.search("SIGHUP: nothing is changed: .*mqtt.map.1", node.diagnostics()), "as a start would refuse it"
    file.write_text("no.such.key=1\n")
    node.process.send_signal(signal.SIGHUP)
    assert eventually(lambda: manager.has("READY=1", 5))
    assert re.search("SIGHUP: .*no.such.key", node.diagnostics()), "warnings are told"
    assert node.stop() == 0
    assert eventually(lambda: manager.has("STOPPING=1"))


def test_the_journal(tmp_path, monkeypatch):
    """Where standard error is the journal, every line begins with its priority and none with a time."""
    log = tmp_path / "stderr.log"
    log.touch()
    monkeypatch.setenv("JOURNAL_STREAM", f"{log.stat().st_dev}:{log.stat().st_ino}")
    node = Node(tmp_path, "no.such.key=1")
    assert node.stop() == 0
    lines = node.diagnostics().splitlines()
    assert lines and all(re.match(r"<[3467]>\S", line) or re.match(r"<[3467]>$", line) for line in lines), lines
    assert not any(re.match(r"<.>\d{4}-\d\d-\d\dT", line) for line in lines), lines
    assert any(line.startswith("<4>") and "no.such.key" in line for line in lines), lines
    with open(log, "ab") as stderr:
        assert subprocess.run([BINARY, "serve", "--set", "num.partitions=x"], stderr=stderr).returncode == 2
    assert node.diagnostics().splitlines()[-1].startswith("<3>tern: "), node.diagnostics()


def test_a_member_without_the_others(tmp_path, manager):
    """A board that is switched on alone is up for systemd, answers at its status page, and keeps its other doors shut."""
    ports = free_ports(7)
    lines = [f"server.{number}=127.0.0.1:{ports[2 * number - 2]}:{ports[2 * number - 1]}" for number in (1, 2, 3)]
    http = f"127.0.0.1:{ports[6]}"

    class Alone(Node):
        def start(self, expect_ready=False):
            super().start(expect_ready=False)

    node = Alone(tmp_path, "broker.id=1", *lines, f"http.listener={http}")
    try:
        assert eventually(lambda: manager.has("READY=1")), node.diagnostics()
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"http://{http}/health", timeout=60)
        assert (answer.value.code, answer.value.read()) == (503, b"starting\n")
        with urllib.request.urlopen(f"http://{http}/status", timeout=60) as page:
            assert b'"role": "starting"' in page.read()
        assert node.stop() == 0
    finally:
        if node.process.poll() is None:
            node.kill()


def test_configuration_directories(tmp_path):
    """A directory on the command line is all of its properties files, the later names winning."""
    (tmp_path / "a.properties").write_text("num.partitions=2\nlog.retention.hours=1\n")
    (tmp_path / "b.properties").write_text("num.partitions=3\n")
    done = subprocess.run([BINARY, "check-config", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"num\.partitions=3 .*b\.properties line 1", done.stdout), done.stdout
    assert os.path.exists(tmp_path)


def test_budget_beyond_the_machine():
    """A budget that the machine can never keep is refused in one sentence."""
    with open("/proc/meminfo") as lines:
        total = int(next(line for line in lines if line.startswith("MemTotal:")).split()[1]) * 1024
    if total >= 2047 << 20:
        pytest.skip("this machine has more than the largest budget that may be named")
    done = subprocess.run([BINARY, "check-config", "--set", "memory.budget=2047MiB"], capture_output=True, text=True)
    assert done.returncode == 2 and "does not fit" in done.stderr, done.stderr
