"""Three processes, one ensemble: it forms, loses its leader, loses a disk, refuses what does not belong to it."""

import shutil
import signal
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from ensemble import Ensemble, running
from kafka import KafkaConsumer, KafkaProducer
from kazoo.client import KazooClient
from kazoo.exceptions import ConnectionLoss, NotReadOnlyCallError, SessionExpiredError
from node import Node, eventually, raw


def zookeeper(ensemble, *numbers, **options):
    hosts = ",".join(ensemble.members[number].zookeeper for number in numbers)
    client = KazooClient(hosts, timeout=4, **options)
    client.start(60)
    return client


def write(client, path, seconds=60):
    """Creates the znode, again when nobody knows what became of the first attempt."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return client.retry(client.ensure_path, path)
        except (ConnectionLoss, SessionExpiredError):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def brokers(ensemble, number):
    client = AdminClient({"bootstrap.servers": ensemble.members[number].kafka})
    return sorted(client.list_topics(timeout=10).brokers)


def test_forms_and_serves(ensemble):
    """Every member lists three brokers; a topic lies on all of them and is written and read through any."""
    for number in (1, 2, 3):
        assert eventually(lambda: brokers(ensemble, number) == [1, 2, 3], 30)
    roles = lambda: sorted(str(ensemble.role(number)) for number in (1, 2, 3))  # noqa: E731
    assert eventually(lambda: roles() == ["follower", "follower", "leader"], 30), roles()
    admin = AdminClient({"bootstrap.servers": ensemble.members[ensemble.followers()[0]].kafka})
    admin.create_topics([NewTopic("readings", 6, 1)])["readings"].result(20)

    def leaders():
        return {p.leader for p in admin.list_topics("readings", timeout=10).topics["readings"].partitions.values()}

    assert eventually(lambda: leaders() == {1, 2, 3}, 30), leaders()
    producer = KafkaProducer(bootstrap_servers=ensemble.members[1].kafka, acks="all")
    for n in range(60):
        producer.send("readings", b"%d" % n, partition=n % 6)
    producer.flush(60)
    consumer = KafkaConsumer(
        "readings", bootstrap_servers=ensemble.members[3].kafka, auto_offset_reset="earliest", consumer_timeout_ms=60000
    )
    got = set()
    for record in consumer:
        got.add(record.value)
        if len(got) == 60:
            break
    assert len(got) == 60
    consumer.close()
    producer.close()


def test_the_leader_is_killed(ensemble):
    """Another leads; what was written is there, and the killed one, started again, has it as well."""
    client = zookeeper(ensemble, *ensemble.followers())
    for n in range(20):
        write(client, f"/before/{n}")
    killed = ensemble.leader()
    ensemble.members[killed].kill()
    leader = ensemble.leader(seconds=30)
    assert leader != killed
    for n in range(20):
        write(client, f"/after/{n}")
    assert len(client.retry(client.get_children, "/before")) == 20
    client.stop()
    ensemble.start(killed).ready()
    client = zookeeper(ensemble, killed)
    client.retry(client.sync, "/")
    assert [len(client.retry(client.get_children, path)) for path in ("/before", "/after")] == [20, 20]
    client.stop()
    assert eventually(lambda: brokers(ensemble, leader) == [1, 2, 3], 30)


def test_sessions_live_and_end_everywhere(ensemble):
    """A session at a follower outlives its timeout while its client is there, and its ephemerals go when it is not."""
    first, second = ensemble.followers()
    here, there = zookeeper(ensemble, first), zookeeper(ensemble, second)
    here.create("/mine", ephemeral=True)
    time.sleep(6)
    there.retry(there.sync, "/")
    assert there.retry(there.exists, "/mine") and eventually(lambda: here.connected, 4)
    here._connection._socket.close()  # noqa: SLF001: a client that dies without a word
    here.stop()
    assert eventually(lambda: not there.retry(there.exists, "/mine"), 30)
    there.stop()


def test_a_clean_stop_hands_over(tmp_path):
    """The leader, told to stop, has handed its place over before it ends: nobody waits for an election, which takes 4 s, nor
    for the end of its broker's session, which takes 12."""
    with running(tmp_path, tick_ms=4000) as nodes:
        leader = nodes.leader()
        assert nodes.members[leader].stop() == 0
        assert nodes.leader(seconds=3.5) != leader
        assert eventually(lambda: leader not in brokers(nodes, nodes.leader()), 10)


def test_a_disk_is_lost(ensemble):
    """An empty disk under a known number copies, is let vote again, and then stands for a majority."""
    client = zookeeper(ensemble, ensemble.leader())
    for n in range(50):
        write(client, f"/kept/{n}")
    client.stop()
    lost, other = ensemble.followers()
    ensemble.members[lost].kill()
    ensemble.members[lost].lose_disk()
    ensemble.start(lost).ready()
    votes = "members of the quorum: 1, 2, 3; without a vote: []"
    said = ensemble.members[lost].diagnostics
    assert eventually(lambda: votes in said(), 60), said()
    ensemble.members[other].kill()
    client = zookeeper(ensemble, lost)
    write(client, "/with the new disk")
    assert len(client.retry(client.get_children, "/kept")) == 50
    client.stop()


def test_a_minority(ensemble):
    """One of three writes nothing, serves reads to those who ask for it, and goes on when another comes back."""
    leader = ensemble.leader()
    left, other = [number for number in (1, 2, 3) if number != leader]
    # Through the one that is left: what it has answered it has, another's answer would need only the two that go.
    client = zookeeper(ensemble, left)
    write(client, "/known")
    client.stop()
    for number in (leader, other):
        ensemble.members[number].kill()
    assert eventually(lambda: ensemble.role(left) == "read-only", 30), ensemble.role(left)
    reader = KazooClient(ensemble.members[left].zookeeper, timeout=4, read_only=True)
    reader.start(60)
    assert reader.exists("/known")
    with pytest.raises((NotReadOnlyCallError, ConnectionLoss)):
        reader.create("/unknown")
    reader.stop()
    ensemble.start(other).ready()
    client = zookeeper(ensemble, left)
    write(client, "/again")
    assert not client.retry(client.exists, "/unknown")
    client.stop()


def test_what_does_not_belong(ensemble, tmp_path):
    """A data directory of another cluster or of another node is refused with a sentence that says what to do."""
    outsider = tmp_path / "outsider"
    outsider.mkdir()
    alone = Node(outsider, "broker.id=3")
    assert alone.stop() == 0
    ensemble.members[3].stop()
    shutil.move(tmp_path / "node3", tmp_path / "kept")
    (tmp_path / "node3").mkdir()
    shutil.copytree(outsider / "coordinator", tmp_path / "node3" / "coordinator")
    refused = ensemble.start(3)
    assert refused.process.wait(60) == 1
    assert "belongs to cluster" in refused.diagnostics() and "data directory of its ensemble" in refused.diagnostics()
    shutil.rmtree(tmp_path / "node3")
    # Stopped for as long as that takes, lest a file be replaced meanwhile.
    ensemble.members[2].process.send_signal(signal.SIGSTOP)
    shutil.copytree(tmp_path / "node2" / "coordinator", tmp_path / "node3" / "coordinator")
    ensemble.members[2].process.send_signal(signal.SIGCONT)
    refused = ensemble.start(3)
    assert refused.process.wait(60) == 1
    assert "quorum-state belongs to server 2, this node is server 3" in refused.diagnostics()
    shutil.rmtree(tmp_path / "node3")
    shutil.move(tmp_path / "kept", tmp_path / "node3")
    ensemble.start(3).ready()


def test_strangers_get_nothing(ensemble, tmp_path):
    """Who does not know the secret gets no byte at either port, and a member with another secret is not let in."""
    for data, quorum in ensemble.peer_ports.values():
        for port in (data, quorum):
            for words in (b"TRNP\x01" + bytes(59), b"GET / HTTP/1.1\r\n\r\n" + bytes(64), bytes(64)):
                assert raw(("127.0.0.1", port), words, seconds=2) == b""
    ensemble.members[3].stop()
    other = tmp_path / "other secret"
    other.write_text("not the secret of the others")
    ensemble.start(3, f"tern.peer.secret.file={other}")
    said = ensemble.members[3].diagnostics
    assert eventually(lambda: "does not prove the same secret" in said(), 30), said()
    others = lambda: ensemble.members[1].diagnostics() + ensemble.members[2].diagnostics()  # noqa: E731
    assert eventually(lambda: "does not prove the same secret" in others(), 30), others()
    assert eventually(lambda: ensemble.role(1) in ("leader", "follower"), 30), ensemble.role(1)


def test_paused_for_a_moment(tmp_path):
    """A leader that stalls for less than an election costs none. Elections take longer than what the machine stalls by
    itself."""
    with running(tmp_path, tick_ms=4000) as nodes:
        leader = nodes.leader()
        nodes.members[leader].process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        nodes.members[leader].process.send_signal(signal.SIGCONT)
        time.sleep(8)  # the longest that a follower waits before it stands
        assert nodes.leader() == leader


def test_founded_by_one(tmp_path):
    """One node founds the ensemble alone; the others are taken in as they come, and vote."""
    nodes = Ensemble(tmp_path)
    try:
        nodes.start(1, "tern.ensemble.form=true").ready()
        nodes.start(2).ready()
        nodes.start(3).ready()
        votes = "members of the quorum: 1, 2, 3; without a vote: []"
        assert eventually(lambda: votes in nodes.members[1].diagnostics(), 60), nodes.members[1].diagnostics()
        nodes.members[1].kill()
        assert nodes.leader() in (2, 3)
    finally:
        nodes.end()
