"""Groups whose coordinator assigns (KIP-848), by librdkafka: sharing, patterns, static members, crashes, migration."""

import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, ConsumerGroupType, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions
from node import eventually
from test_groups import assigned, polled, produce, read, share, topic_of

SETTINGS = [
    "group.initial.rebalance.delay.ms=100",
    "group.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=10000",
    "group.consumer.heartbeat.interval.ms=200",
]


def member(node, group, topic, **settings):
    consumer = Consumer({
        "bootstrap.servers": node.kafka,
        "group.id": group,
        "group.protocol": "consumer",
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        **settings,
    })
    consumer.subscribe([topic])
    return consumer


def classic_member(node, group, topic):
    consumer = Consumer({
        "bootstrap.servers": node.kafka,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 200,
        "partition.assignment.strategy": "cooperative-sticky",
    })
    consumer.subscribe([topic])
    return consumer


def described(node, group):
    admin = AdminClient({"bootstrap.servers": node.kafka})
    return admin.describe_consumer_groups([group])[group].result(60)


@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_members_share(node, assignor):
    """A second member takes half of the partitions, gives them back when it leaves, and nothing is read twice."""
    group = f"uniform-{assignor}"
    topic = topic_of(node, group, messages=40)
    one = member(node, group, topic, **{"group.remote.assignor": assignor})
    got = read(one, 40)
    one.commit(asynchronous=False)
    two = member(node, group, topic, **{"group.remote.assignor": assignor})
    share([one, two], [2, 2])
    if assignor == "range":
        assert sorted([assigned(one), assigned(two)]) == [[0, 1], [2, 3]]
    two.close()
    share([one], [4])
    produce(node, topic, 4, 40, 8)
    got += read(one, 8)
    one.commit(asynchronous=False)
    assert sorted(int(value) for value in got) == list(range(48))
    assert eventually(lambda: described(node, group).state == ConsumerGroupState.STABLE), described(node, group).state
    state = described(node, group)
    assert (state.type, state.partition_assignor) == (ConsumerGroupType.CONSUMER, assignor)
    one.close()
    assert eventually(lambda: described(node, group).state == ConsumerGroupState.EMPTY), described(node, group).state
    admin = AdminClient({"bootstrap.servers": node.kafka})
    listed = admin.list_consumer_groups().result(60).valid
    assert ConsumerGroupType.CONSUMER in {one.type for one in listed if one.group_id == group}


def test_pattern_and_new_partitions(node):
    """The coordinator matches patterns, and new topics and partitions are read without anybody asking."""
    topic_of(node, "pattern-a", partitions=1, messages=1)
    one = member(node, "pattern", "^pattern-.*")
    assert read(one, 1) == [b"0"]
    topic_of(node, "pattern-b", partitions=1, messages=1)
    assert read(one, 1) == [b"0"]
    admin = AdminClient({"bootstrap.servers": node.kafka})
    admin.create_partitions([NewPartitions("pattern-b", 3)])["pattern-b"].result(60)
    deadline = time.monotonic() + 60
    while len(one.assignment()) != 4 and time.monotonic() < deadline:
        polled(one)
    assert len(one.assignment()) == 4
    one.subscribe([r"^(pattern)\1"])  # no regular language: only the client knows it
    with pytest.raises(KafkaException):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            message = one.poll(0.1)
            if message is not None and message.error():
                raise KafkaException(message.error())
    one.close()


def test_silent_member_is_removed(own_node):
    """A member whose process is gone loses its partitions after its session timeout."""
    topic = topic_of(own_node, "silent")
    script = (
        "import sys; from confluent_kafka import Consumer\n"
        "c = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': 'silent', 'group.protocol': 'consumer'})\n"
        "c.subscribe(['silent'])\n"
        "while True:\n c.poll(0.1)\n print(len(c.assignment()), flush=True)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script, own_node.kafka], stdout=subprocess.PIPE, text=True)
    while other.stdout.readline().strip() != "4":
        pass
    one = member(own_node, "silent", topic)
    started = time.monotonic()
    while len(assigned(one)) != 2 and time.monotonic() < started + 60:
        polled(one)
    other.kill()
    killed = time.monotonic()
    share([one], [4])
    assert 5 < time.monotonic() - killed < 40
    one.close()


def test_static_member(own_node):
    """A static member that comes back in time has what it had; two of one instance are refused."""
    topic = topic_of(own_node, "static")
    one = member(own_node, "static", topic, **{"group.instance.id": "one"})
    two = member(own_node, "static", topic, **{"group.instance.id": "two"})
    share([one, two], [2, 2])
    before = assigned(one)
    one.close()
    assert assigned(two) != [0, 1, 2, 3]
    one = member(own_node, "static", topic, **{"group.instance.id": "one"})
    share([one, two], [2, 2])
    assert assigned(one) == before
    third = member(own_node, "static", topic, **{"group.instance.id": "two"})
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        polled(one, two, third)
    assert assigned(third) == []
    third.close()
    two.close()
    one.close()


def test_crash(own_node):
    """After kill -9 members go on where they were, and commits stand."""
    topic = topic_of(own_node, "crash", messages=100)
    one, two = member(own_node, "crash", topic), member(own_node, "crash", topic)
    share([one, two], [2, 2])
    for consumer in (one, two):
        consumer.commit(offsets=[TopicPartition(topic, index, 25) for index in assigned(consumer)], asynchronous=False)
    before = described(own_node, "crash")
    own_node.kill()
    own_node.start()
    share([one, two], [2, 2])
    after = described(own_node, "crash")
    members = [sorted(member.member_id for member in state.members) for state in (before, after)]
    assert members[0] == members[1], "nobody had to join again"
    produce(own_node, topic, 4, 100, 4)
    admin = Consumer({"bootstrap.servers": own_node.kafka, "group.id": "crash"})
    committed = admin.committed([TopicPartition(topic, index) for index in range(4)], timeout=60)
    assert [partition.offset for partition in committed] == [25] * 4
    admin.close()
    one.close()
    two.close()
    own_node.kill()
    own_node.start()
    assert eventually(lambda: described(own_node, "crash").state == ConsumerGroupState.EMPTY)


def test_migration(node):
    """A live classic group takes in members of the new protocol, and is classic again when these have gone."""
    topic = topic_of(node, "migration", messages=40)
    old = classic_member(node, "migration", topic)
    got = read(old, 40)
    old.commit(asynchronous=False)
    assert described(node, "migration").type == ConsumerGroupType.CLASSIC
    new = member(node, "migration", topic)
    share([old, new], [2, 2])
    assert eventually(lambda: described(node, "migration").type == ConsumerGroupType.CONSUMER)
    old.close()
    share([new], [4])
    produce(node, topic, 4, 40, 8)
    got += read(new, 8)
    new.commit(asynchronous=False)
    assert sorted(int(value) for value in got) == list(range(48))
    old = classic_member(node, "migration", topic)
    share([old, new], [2, 2])
    new.close()
    share([old], [4])
    assert eventually(lambda: described(node, "migration").type == ConsumerGroupType.CLASSIC)
    produce(node, topic, 4, 48, 4)
    got += read(old, 4)
    assert sorted(int(value) for value in got) == list(range(52))
    old.close()


def test_ten_members_rebalance(node):
    """Ten members share a hundred partitions, evenly and soon."""
    topic = topic_of(node, "ten", partitions=100)
    started = time.monotonic()
    members = [member(node, "ten", topic) for _ in range(10)]
    share(members, [10] * 10, seconds=90)
    assert time.monotonic() - started < 90
    for one in members:
        one.close()
