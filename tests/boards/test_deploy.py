"""cross/deploy against boards that are not as it needs them; ssh and scp are stand-ins that answer from files."""

import hashlib
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROFILE = os.environ.get("TERN_CROSS_PROFILE", "release")
BINARY = TARGET / "aarch64-unknown-linux-musl" / PROFILE / "tern"

#: Tells boards apart by the files below $BOARDS: HOST.look is what a board says of itself; where HOST.fails is a word of the
#: script that runs on it, the script fails.
SSH = """#!/usr/bin/env bash
for word in "$@"; do [ "$word" != -O ] || exit 0; done
case "$*" in
  *" tern status"*) for _ in "$BOARDS"/*.look; do echo '"ready": true'; done; exit 0 ;;
esac
host=${*: -2:1} script=$(cat)
if [ -e "$BOARDS/$host.fails" ] && [[ "$script" == *"$(cat "$BOARDS/$host.fails")"* ]]; then
  echo "No space left on device" >&2
  exit 1
fi
case "$script" in
  *--print-architecture*) cat "$BOARDS/$host.look" || { echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255; } ;;
  *"dpkg --force-confold"*) echo "$host installed" >>"$BOARDS/log" ;;
  *"restart"*) echo "$host restarted" >>"$BOARDS/log" ;;
esac
"""


class Boards:
    """What answers instead of boards."""

    def __init__(self, directory):
        self.directory = directory
        for name, text in (("ssh", SSH), ("scp", "#!/bin/sh\nexit 0\n")):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    def add(self, host, architecture="arm64", machine="aarch64", myid="", secret="", state="inactive", running=""):
        lines = [architecture, f"machine={machine}", f"myid={myid}", f"secret={secret}", f"state={state}", f"running={running}"]
        (self.directory / f"{host}.look").write_text("\n".join(lines) + "\n")

    def fails(self, host, word):
        (self.directory / f"{host}.fails").write_text(word)

    def deploy(self, *words):
        env = dict(os.environ, PATH=f"{self.directory}:{os.environ['PATH']}", BOARDS=str(self.directory))
        command = [ROOT / "cross/deploy", "--no-build", "--wait", "5", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env=env, stdin=subprocess.DEVNULL)

    def refused(self, *words):
        """The one sentence of a run that fails."""
        done = self.deploy(*words)
        assert done.returncode != 0 and done.stderr.count("\n") == 1, (done.returncode, done.stderr)
        return done.stderr

    def log(self):
        path = self.directory / "log"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def boards(tmp_path):
    return Boards(tmp_path)


def test_command_line(boards):
    """Mistakes on the command line are one sentence each."""
    assert "there is no host" in boards.refused()
    assert "a host stands twice" in boards.refused("pi@a", "a")
    assert "there is no option --force" in boards.refused("--force", "a")
    assert "--wait soon: allowed: seconds" in boards.refused("--wait", "soon", "a")
    boards.add("a")
    assert "--replicas 3: there are 1 hosts" in boards.refused("--replicas", "3", "a")


def test_boards_that_do_not_fit(boards):
    """A host that is not there, or not for us, or of another ensemble, is told before anything is changed anywhere."""
    boards.add("a", myid="1", secret="x")
    boards.add("twin", myid="1")
    boards.add("stranger", myid="2", secret="y")
    boards.add("server", architecture="amd64", machine="x86_64")
    boards.add("zero", architecture="armhf", machine="armv6l")
    boards.add("bare", architecture="arm64\nno-systemd")
    for host, sentence in (
        ("away", "away cannot be used: ssh: connect to host away port 22: No route to host; nothing was changed anywhere"),
        ("twin", "two boards have the myid 1; nothing was changed anywhere"),
        ("stranger", "stranger and a have different secrets, so they belong to different ensembles; nothing was changed anywhere"),
        ("server", "server is amd64: there are packages for arm64 and armhf; nothing was changed anywhere"),
        ("zero", "zero is a board of armv6l, and the program needs ARMv7 or later; nothing was changed anywhere"),
        ("bare", "bare has no systemd"),
    ):
        assert sentence in boards.refused("a", host), host
    assert boards.log() == []


def test_fails_halfway(boards):
    """A board that fails in the middle stops the run: what was done is told, and the rest is not touched."""
    for host in "abc":
        boards.add(host)
    boards.fails("b", "--force-confold")
    sentence = "b failed while it was being installed; done: a, and nodes that run go on running; mend it and run the same command again"
    assert sentence in boards.deploy("a", "b", "c").stderr
    assert boards.log() == ["a installed", "a restarted"]


def test_half_an_upgrade(boards):
    """So does one that fails in the middle of an upgrade, and the same command goes on where it stopped."""
    for number, host in enumerate("abc", 1):
        boards.add(host, myid=number, secret="x", state="active", running="another")
    boards.fails("b", "systemctl restart")
    sentence = "b failed while it was being started anew; upgraded before: a, and nodes that run go on running"
    assert sentence in boards.deploy("--upgrade", "a", "b", "c").stderr
    assert boards.log() == ["a installed", "a restarted", "b installed"]
    (boards.directory / "b.fails").unlink()
    (boards.directory / "log").unlink()
    ours = hashlib.sha256(BINARY.read_bytes()).hexdigest()
    boards.add("a", myid=1, secret="x", state="active", running=ours)
    done = boards.deploy("--upgrade", "a", "b", "c")
    assert done.returncode == 0 and "a: is up to date" in done.stdout, done.stdout + done.stderr
    assert boards.log() == ["b installed", "b restarted", "c installed", "c restarted"]


def test_left_alone(boards):
    """Without --upgrade, boards that run another build are left alone."""
    for number, host in enumerate("abc", 1):
        boards.add(host, myid=number, secret="x", state="active", running="another")
    done = boards.deploy("a", "b", "c")
    assert done.returncode == 0 and done.stdout.count("runs another build and is left alone") == 3, done.stdout + done.stderr
    assert boards.log() == []
