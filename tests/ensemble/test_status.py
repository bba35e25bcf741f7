"""What `tern status` and `tern topic describe` say while boards are dead or hang: all there is, and who is missing."""

import json
import signal
import subprocess
import time

import pytest
from ensemble import running
from node import BINARY, eventually

# Long enough that a dead board is still registered while the tests look.
SESSION_MS = 15_000


@pytest.fixture
def boards(tmp_path):
    """Three boards; topic `alone` has a partition on each of them, in one copy."""
    with running(tmp_path, f"broker.session.timeout.ms={SESSION_MS}") as nodes:
        created = tern("topic", "create", "alone", "--partitions", "3", "--replication-factor", "1",
                       "--bootstrap", nodes.members[1].kafka)
        assert created.returncode == 0, created
        assert eventually(lambda: status(nodes, 1)[1] == 0, 60), status(nodes, 1)
        yield nodes


def tern(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=120)


def status(boards, number):
    """What `tern status --json` told, its exit code, what it complained of, and the seconds it took."""
    began = time.monotonic()
    done = tern("status", "--json", "--http", boards.members[number].http)
    told = {} if not done.stdout else json.loads(done.stdout)
    return told, done.returncode, done.stderr, time.monotonic() - began


def roles(told):
    return {node["id"]: node["role"] for node in told["nodes"]}


def offline(told):
    return {topic["topic"]: topic["offline"] for topic in told["topics"]}


def test_dead_board(boards):
    """It is away from the first moment on, also when nobody counts on it any more; what only it has is offline."""
    survivor, dead = boards.leader(), boards.followers()[0]
    boards.members[dead].kill()
    for moment in ("registered", "gone"):
        told, code, said, seconds = status(boards, survivor)
        assert roles(told)[dead] == "away" and roles(told)[survivor] != "away", (moment, told)
        assert offline(told)["alone"] == 1, (moment, told["topics"])
        assert code == 1 and f"no answer from node {dead}" in said and "advertised" not in said, (moment, said)
        assert "1 partition is offline" in said and seconds < 15, (moment, said, seconds)
        registered = lambda: tern("zk", "ls", "/brokers/ids", "--server", boards.members[survivor].zookeeper).stdout.split()  # noqa: E731
        assert eventually(lambda: str(dead) not in registered(), 60)
    boards.start(dead)
    boards.members[dead].ready()
    assert eventually(lambda: status(boards, survivor)[1] == 0, 60), status(boards, survivor)


def test_one_of_three(boards):
    """Who is alone tells what it knows: all nodes, all topics, what is offline. A topic's table is whole, too."""
    survivor = boards.leader()
    for number in boards.followers():
        boards.members[number].kill()
    told, code, said, _ = status(boards, survivor)
    assert sorted(role for role in roles(told).values()).count("away") == 2 and code == 1, (told, said)
    assert offline(told)["alone"] == 2, told["topics"]
    page = tern("status", "--http", boards.members[survivor].http).stdout
    assert page.startswith("NODE ") and "alone" in page, page
    shown = tern("topic", "describe", "alone", "--bootstrap", boards.members[survivor].kafka)
    assert shown.returncode == 1 and len(shown.stdout.splitlines()) == 5, shown
    assert "no answer from node" in shown.stderr and "tern status" in shown.stderr, shown.stderr


def test_hung_board(boards):
    """A board that accepts connections and answers nothing costs a few seconds."""
    hung, asked = boards.leader(), boards.followers()[0]
    boards.members[hung].process.send_signal(signal.SIGSTOP)
    try:
        told, code, said, seconds = status(boards, asked)
        assert roles(told)[hung] == "away" and code == 1 and seconds < 12, (told, said, seconds)
        assert f"no answer from node {hung}" in said and "tern status" not in said, said
    finally:
        boards.members[hung].process.send_signal(signal.SIGCONT)
