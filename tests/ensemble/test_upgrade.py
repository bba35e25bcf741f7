"""A rolling upgrade from the format before this one, by a program built from it: one board after the other, under load."""

import json
import os
import subprocess

import node
import paho.mqtt.client as mqtt
import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from ensemble import running
from kazoo.client import KazooClient
from node import eventually
from test_replication import SOON, Numbers, bootstrap, check, create, is_whole

# tests/run builds it; without the project's history there is none.
PREVIOUS = os.environ.get("TERN_PREVIOUS_BINARY", "")
BEFORE, AFTER = 2, 3


@pytest.fixture
def boards(tmp_path, monkeypatch):
    """Three boards of the program before, whose failures are soon noticed."""
    if not os.path.exists(PREVIOUS):
        pytest.skip("TERN_PREVIOUS_BINARY names no program of the format before: tests/run builds it")
    monkeypatch.setattr(node, "BINARY", PREVIOUS)
    maps = ["mqtt.map.0=single/# -> single", "mqtt.map.1=upgrade/# -> mqtt"]
    with running(tmp_path, *SOON, *maps, "min.insync.replicas=2") as nodes:
        yield nodes


@pytest.fixture
def zookeeper(boards):
    """A client that takes any board, and its session."""
    hosts = ",".join(member.zookeeper for member in boards.members.values())
    client = KazooClient(hosts, timeout=10, connection_retry={"max_tries": -1, "max_delay": 1})
    client.start(60)
    yield client
    client.stop()


def exchange(boards, number, binary):
    """Stops a board politely and starts it with another program; waits until it has caught up."""
    assert boards.members[number].stop() == 0, boards.members[number].diagnostics()[-2000:]
    node.BINARY = binary
    boards.members[number].start()
    boards.members[number].ready()
    assert eventually(lambda: is_whole(boards, "numbers"), 90, 0.2), boards.members[number].diagnostics()[-3000:]


def tern(boards, *arguments):
    """What our own command prints."""
    command = [node.BINARY, *arguments, "--server", boards.members[1].zookeeper]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def level(zookeeper):
    return json.loads(zookeeper.retry(zookeeper.get, "/feature")[0])["features"]["tern.version"]


def heard(boards, at, by, text, topic="upgrade/1"):
    """What is heard on one board of what is published on another."""
    got = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "listener")
    listener.on_message = lambda _client, _data, message: got.append(message.payload)
    listener.on_subscribe = lambda *_: got.append(None)
    listener.connect(*boards.members[by].mqtt)
    listener.subscribe(topic, 1)
    listener.loop_start()
    assert eventually(lambda: got, 30)
    sensor = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor")
    sensor.connect(*boards.members[at].mqtt)
    sensor.loop_start()
    sensor.publish(topic, text, 1).wait_for_publish(60)
    eventually(lambda: len(got) > 1, 30)
    sensor.loop_stop()
    listener.loop_stop()
    return got[1:]


@pytest.mark.timeout(600)
def test_one_board_after_the_other(boards, zookeeper):
    """Programs of both formats serve together, and back is possible until the level is raised; then it is not, and nothing
    that was acknowledged or promised before, meanwhile or after is lost."""
    current = os.path.abspath(os.environ.get("TERN_BINARY", "target/release/tern"))
    create(boards, "numbers")
    create(boards, "mqtt", 1)
    single = NewTopic("single", 1, 1, config={"min.insync.replicas": "1"})
    admin = AdminClient({"bootstrap.servers": bootstrap(boards)})
    admin.create_topics([single])["single"].result(20)
    zookeeper.create("/upgrade", b"before")
    zookeeper.create("/upgrade/mine", ephemeral=True)
    session = zookeeper.client_id
    numbers = Numbers(boards, "numbers")
    leader = boards.leader()
    # The leader goes over first and back again: whoever upgrades may change his mind.
    exchange(boards, leader, current)
    exchange(boards, leader, PREVIOUS)
    for turn, number in enumerate(boards.members):
        exchange(boards, number, current)
        others = [other for other in boards.members if other != number]
        assert heard(boards, number, others[0], b"new %d" % turn) == [b"new %d" % turn]
        assert heard(boards, others[1], number, b"old %d" % turn) == [b"old %d" % turn]
        assert level(zookeeper) == BEFORE
    said = [tern(boards, "node", "upgrade", "--dry-run"), tern(boards, "node", "list"), tern(boards, "node", "upgrade")]
    hint = f"feature level {BEFORE} is in use, the programs of all members understand {AFTER}: tern node upgrade raises it"
    assert hint in said[0] and hint in said[1], said
    assert f"feature level {AFTER} is in use, it was {BEFORE}" in said[2], said
    # Boards that did not answer the command may hear of it later.
    for member in boards.members.values():
        asked = KazooClient(member.zookeeper, timeout=10)
        asked.start(60)
        assert eventually(lambda: level(asked) == AFTER, 30)
        asked.stop()
    assert heard(boards, 1, 2, b"after") == [b"after"]
    # The new level brings subscribers what boards without a copy did not hear before.
    for number in boards.members:
        assert heard(boards, 1, number, b"anywhere", "single/1") == [b"anywhere"]
    zookeeper.retry(zookeeper.set, "/upgrade", b"after")
    assert zookeeper.client_id == session and zookeeper.retry(zookeeper.exists, "/upgrade/mine")

    assert boards.members[3].stop() == 0
    node.BINARY = PREVIOUS
    boards.members[3].start()
    assert boards.members[3].process.wait(60) == 1
    said = boards.members[3].diagnostics()
    assert f"the cluster's data has format level {AFTER}, this program understands 1 to {BEFORE}" in said, said[-2000:]
    node.BINARY = current
    boards.members[3].start()
    boards.members[3].ready()
    assert eventually(lambda: is_whole(boards, "numbers"), 90, 0.2)
    acknowledged = numbers.end()
    assert len(acknowledged) > 2000
    check(boards, "numbers", acknowledged)
