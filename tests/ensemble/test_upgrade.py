"""A rolling upgrade from the format before this one, by a program built from it: one board after the other, under load."""

import json
import os

import node
import paho.mqtt.client as mqtt
import pytest
from ensemble import Ensemble
from java_tools import Tools
from kazoo.client import KazooClient
from node import eventually
from test_replication import Numbers, bootstrap, check, create, is_whole

# tests/run builds it; without the project's history there is none.
PREVIOUS = os.environ.get("TERN_PREVIOUS_BINARY", "")
BEFORE, AFTER = 2, 3


@pytest.fixture
def boards(tmp_path, monkeypatch):
    """Three boards of the program before, whose failures are soon noticed."""
    if not os.path.exists(PREVIOUS):
        pytest.skip("TERN_PREVIOUS_BINARY names no program of the format before: tests/run builds it")
    monkeypatch.setattr(node, "BINARY", PREVIOUS)
    ensemble = Ensemble(tmp_path)
    ensemble.settings += ["broker.session.timeout.ms=1500", "replica.lag.time.max.ms=3000", "min.insync.replicas=2"]
    ensemble.start_all()
    yield ensemble
    said = ensemble.end()
    assert "panicked" not in said, said


@pytest.fixture
def zookeeper(boards):
    """A client that takes any board, and its session."""
    client = KazooClient(",".join(member.zookeeper for member in boards.members.values()), timeout=10)
    client.start(30)
    yield client
    client.stop()


def exchange(boards, number, binary):
    """Stops a board politely and starts it with another program; waits until it has caught up."""
    assert boards.members[number].stop() == 0, boards.members[number].diagnostics()[-2000:]
    node.BINARY = binary
    boards.members[number].start()
    boards.members[number].ready()
    assert eventually(lambda: is_whole(boards, "numbers"), 60, 0.2), boards.members[number].diagnostics()[-3000:]


def level(zookeeper):
    return json.loads(zookeeper.retry(zookeeper.get, "/feature")[0])["features"]["tern.version"]


def heard(boards, at, by, text):
    """What is published on one board is heard on another."""
    got = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "listener")
    listener.on_message = lambda _client, _data, message: got.append(message.payload)
    listener.on_subscribe = lambda *_: got.append(None)
    listener.connect(*boards.members[by].mqtt)
    listener.subscribe("upgrade/#", 1)
    listener.loop_start()
    assert eventually(lambda: got, 10)
    sensor = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor")
    sensor.connect(*boards.members[at].mqtt)
    sensor.loop_start()
    sensor.publish("upgrade/1", text, 1).wait_for_publish(20)
    eventually(lambda: len(got) > 1, 10)
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
    tools = Tools("4", bootstrap(boards))
    try:
        tools.ask("features", "upgrade", "--feature", f"tern.version={AFTER}")
    finally:
        tools.close()
    assert level(zookeeper) == AFTER
    assert heard(boards, 1, 2, b"after") == [b"after"]
    zookeeper.retry(zookeeper.set, "/upgrade", b"after")
    assert zookeeper.client_id == session and zookeeper.retry(zookeeper.exists, "/upgrade/mine")

    assert boards.members[3].stop() == 0
    node.BINARY = PREVIOUS
    boards.members[3].start()
    assert boards.members[3].process.wait(20) == 1
    said = boards.members[3].diagnostics()
    assert f"the cluster's data has format level {AFTER}, this program understands 1 to {BEFORE}" in said, said[-2000:]
    node.BINARY = current
    boards.members[3].start()
    boards.members[3].ready()
    assert eventually(lambda: is_whole(boards, "numbers"), 60, 0.2)
    acknowledged = numbers.end()
    assert len(acknowledged) > 2000
    check(boards, "numbers", acknowledged)
