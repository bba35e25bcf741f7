"""Consumer groups of stock clients: rebalances, commits, restarts, administration, and what no client should send."""

import asyncio
import concurrent.futures
import socket
import struct
import subprocess
import sys
import threading
import time

import aiokafka
import kafka
import kafka.errors
import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from node import eventually

SETTINGS = ["group.initial.rebalance.delay.ms=100", "group.min.session.timeout.ms=1000", "offsets.commit.timeout.ms=60000"]


def topic_of(node, name, partitions=4, messages=0):
    """A topic with so many messages, in turn over its partitions."""
    admin = AdminClient({"bootstrap.servers": node.kafka})
    admin.create_topics([NewTopic(name, partitions, 1)])[name].result(60)
    produce(node, name, partitions, 0, messages)
    return name


def produce(node, name, partitions, first, count):
    producer = Producer({"bootstrap.servers": node.kafka})
    for number in range(first, first + count):
        producer.produce(name, str(number), partition=number % partitions)
    assert producer.flush(60) == 0


def member(node, group, topic, **settings):
    consumer = Consumer({
        "bootstrap.servers": node.kafka,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 200,
        **settings,
    })
    consumer.subscribe([topic])
    return consumer


def polled(*consumers):
    """Polls each once; the values that came."""
    messages = [consumer.poll(0.05) for consumer in consumers]
    return [message.value() for message in messages if message is not None and message.error() is None]


def assigned(consumer):
    return sorted(partition.partition for partition in consumer.assignment())


def share(consumers, counts, seconds=60):
    """Polls until each consumer has so many of the partitions, all of them different."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        polled(*consumers)
        parts = [assigned(consumer) for consumer in consumers]
        if [len(part) for part in parts] == counts and len(set(sum(parts, []))) == sum(counts):
            return
    raise AssertionError(f"{[assigned(consumer) for consumer in consumers]} are not {counts}")


@pytest.mark.parametrize("assignor", ["range", "roundrobin", "cooperative-sticky"])
def test_two_members_share(node, assignor):
    """A second member takes half of the partitions, and gives them back when it leaves or falls silent."""
    topic = topic_of(node, f"share-{assignor}")
    settings = {"partition.assignment.strategy": assignor}
    one = member(node, f"share-{assignor}", topic, **settings)
    share([one], [4])
    two = member(node, f"share-{assignor}", topic, **settings)
    share([one, two], [2, 2])
    two.close()
    share([one], [4])
    one.close()


def test_silent_member_is_removed(own_node):
    """A member whose process is gone loses its partitions after its session timeout."""
    topic = topic_of(own_node, "silent")
    script = (
        "import sys, time; from confluent_kafka import Consumer\n"
        "c = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': 'silent', 'session.timeout.ms': 2000,"
        " 'heartbeat.interval.ms': 200})\n"
        "c.subscribe(['silent'])\n"
        "while True:\n c.poll(0.1)\n print(len(c.assignment()), flush=True)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script, own_node.kafka], stdout=subprocess.PIPE, text=True)
    while other.stdout.readline().strip() != "4":
        pass
    one = member(own_node, "silent", topic)
    share_started = time.monotonic()
    while len(assigned(one)) != 2 and time.monotonic() < share_started + 60:
        polled(one)
    other.kill()
    killed = time.monotonic()
    share([one], [4])
    assert time.monotonic() - killed < 40
    one.close()


def test_commit_survives_a_crash(own_node):
    """What was committed is there after kill -9, and the group goes on behind it, in the next generation."""
    topic = topic_of(own_node, "crash", messages=100)
    consumer = member(own_node, "crash", topic)
    got = read(consumer, 100)
    consumer.commit(asynchronous=False)
    own_node.kill()
    own_node.start()
    produce(own_node, topic, 4, 100, 40)
    got += read(consumer, 40)
    consumer.commit(asynchronous=False)
    own_node.kill()
    own_node.start()
    produce(own_node, topic, 4, 140, 4)
    again = member(own_node, "crash", topic)
    consumer.close()
    got += read(again, 4)
    committed = again.committed([TopicPartition(topic, index) for index in range(4)], timeout=60)
    assert [partition.offset for partition in committed] == [35] * 4
    again.close()
    assert sorted(int(value) for value in got) == list(range(144))


def read(consumer, count, seconds=90):
    got, deadline = [], time.monotonic() + seconds
    while len(got) < count and time.monotonic() < deadline:
        got += polled(consumer)
    assert len(got) == count, f"{len(got)} of {count}"
    return got


class KafkaPython(threading.Thread):
    """A member of kafka-python in a thread of its own: two that take turns in one thread abandon each other's joins."""

    def __init__(self, node, group, topic):
        super().__init__(daemon=True)
        self.consumer = kafka.KafkaConsumer(
            topic,
            bootstrap_servers=node.kafka,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            heartbeat_interval_ms=200,
        )
        self.values = []
        self.partitions = 0
        self.wants = set()
        self.start()

    def run(self):
        while "close" not in self.wants:
            for records in self.consumer.poll(timeout_ms=1000).values():
                self.values.extend(int(record.value) for record in records)
            self.partitions = len(self.consumer.assignment())
            if "commit" in self.wants:
                try:
                    self.consumer.commit()
                    self.wants.discard("commit")
                except kafka.errors.CommitFailedError:
                    pass  # the group was divided anew meanwhile: it is asked again
        self.consumer.close()

    def ask(self, what):
        self.wants.add(what)
        if what == "close":
            self.join(60)
        else:
            assert eventually(lambda: what not in self.wants)


def test_kafka_python(own_node):
    """kafka-python: two members share, commit, and resume after kill -9."""
    topic = topic_of(own_node, "kp", messages=80)
    one, two = KafkaPython(own_node, "kp", topic), KafkaPython(own_node, "kp", topic)
    assert eventually(lambda: one.partitions == two.partitions == 2)
    assert eventually(lambda: len(set(one.values + two.values)) == 80)

    admin = AdminClient({"bootstrap.servers": own_node.kafka})

    def all_is_committed():
        # One of them may have read everything before the other came, who then begins anew.
        one.ask("commit")
        two.ask("commit")
        offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions("kp")])["kp"].result(60)
        return sorted((at.partition, at.offset) for at in offsets.topic_partitions) == [(0, 20), (1, 20), (2, 20), (3, 20)]

    assert eventually(all_is_committed)
    two.ask("close")
    own_node.kill()
    own_node.start()
    one.values.clear()
    produce(own_node, topic, 4, 80, 8)
    # Nothing from before the commit; what was read and not committed when the group is divided anew is read again.
    assert eventually(lambda: set(one.values) >= set(range(80, 88)), 90), one.values
    assert set(one.values) == set(range(80, 88)), one.values
    one.ask("close")


def test_aiokafka(own_node):
    """aiokafka: a group reads all, commits, and another member goes on after kill -9."""
    topic = topic_of(own_node, "aio", messages=40)

    async def consume(count):
        consumer = aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=own_node.kafka,
            group_id="aio",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        values = [int((await asyncio.wait_for(consumer.getone(), 60)).value) for _ in range(count)]
        await consumer.commit()
        await consumer.stop()
        return sorted(values)

    assert asyncio.run(consume(40)) == list(range(40))
    own_node.kill()
    own_node.start()
    produce(own_node, topic, 4, 40, 10)
    assert asyncio.run(consume(10)) == list(range(40, 50))


def test_kcat(node):
    """kcat -G reads a topic to its end and commits."""
    topic = topic_of(node, "kcat", messages=50)
    command = ["kcat", "-b", node.kafka, "-X", "auto.offset.reset=earliest", "-e", "-u", "-m", "60", "-G", "kcat", topic]
    out = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert sorted(int(line) for line in out.stdout.split()) == list(range(50)), out.stderr
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.stdout == "", "all of it was committed"


def test_static_member(own_node):
    """A static member that restarts within its session keeps its partitions; the others are not disturbed."""
    topic = topic_of(own_node, "static")
    one = member(own_node, "static", topic, **{"group.instance.id": "one"})
    share([one], [4])
    two = member(own_node, "static", topic, **{"group.instance.id": "two"})
    share([one, two], [2, 2])
    before = assigned(two)
    two.close()
    two = member(own_node, "static", topic, **{"group.instance.id": "two"})
    share([one, two], [2, 2])
    assert assigned(two) == before
    one.close()
    two.close()


def test_administration(node):
    """List, describe, list and alter and delete offsets, delete a group: each answers as Kafka does."""
    topic = topic_of(node, "admin", messages=20)
    admin = AdminClient({"bootstrap.servers": node.kafka})
    consumer = member(node, "admin", topic)
    read(consumer, 20)
    consumer.commit(asynchronous=False)
    listed = {group.group_id: group for group in admin.list_consumer_groups().result(60).valid}
    assert listed["admin"].state.name == "STABLE"
    described = admin.describe_consumer_groups(["admin"])["admin"].result(60)
    assert (described.state.name, described.partition_assignor, len(described.members)) == ("STABLE", "range", 1)
    assert len(described.members[0].assignment.topic_partitions) == 4
    assert described.members[0].host == "/127.0.0.1"
    with pytest.raises(KafkaException, match="NON_EMPTY_GROUP"):
        admin.delete_consumer_groups(["admin"])["admin"].result(60)
    consumer.close()
    assert eventually(lambda: admin.describe_consumer_groups(["admin"])["admin"].result(60).state.name == "EMPTY")
    asked = [ConsumerGroupTopicPartitions("admin")]
    offsets = admin.list_consumer_group_offsets(asked)["admin"].result(60).topic_partitions
    assert sorted((one.partition, one.offset) for one in offsets) == [(0, 5), (1, 5), (2, 5), (3, 5)]
    reset = [ConsumerGroupTopicPartitions("admin", [TopicPartition(topic, 0, 2)])]
    admin.alter_consumer_group_offsets(reset)["admin"].result(60)
    offsets = admin.list_consumer_group_offsets(asked)["admin"].result(60).topic_partitions
    assert {one.partition: one.offset for one in offsets}[0] == 2
    assert admin.delete_consumer_groups(["admin"])["admin"].result(60) is None
    with pytest.raises(KafkaException, match="GROUP_ID_NOT_FOUND"):
        admin.delete_consumer_groups(["admin"])["admin"].result(60)
    assert "admin" not in {group.group_id for group in admin.list_consumer_groups().result(60).valid}


def test_kafka_python_administration(node):
    """kafka-python's admin client asks in other versions."""
    topic = topic_of(node, "kp-admin", messages=8)
    consumer = member(node, "kp-admin", topic)
    read(consumer, 8)
    consumer.commit(asynchronous=False)
    admin = kafka.KafkaAdminClient(bootstrap_servers=node.kafka)
    assert "kp-admin" in str(admin.list_groups())
    assert "Stable" in str(admin.describe_groups(["kp-admin"]))
    assert "committed" in str(admin.list_group_offsets(["kp-admin"])) or "offset" in str(admin.list_group_offsets(["kp-admin"]))
    consumer.close()
    admin.delete_groups(["kp-admin"])
    admin.close()


def test_internal_topic(node):
    """`__consumer_offsets` is there for everybody to see and for nobody to create, delete or write."""
    member(node, "internal", topic_of(node, "internal")).close()
    admin = AdminClient({"bootstrap.servers": node.kafka})
    assert "__consumer_offsets" in admin.list_topics(timeout=60).topics
    with pytest.raises(KafkaException, match="TOPIC_EXCEPTION|INVALID_TOPIC"):
        admin.create_topics([NewTopic("__consumer_offsets", 1, 1)])["__consumer_offsets"].result(60)
    with pytest.raises(KafkaException, match="TOPIC_EXCEPTION|INVALID_TOPIC"):
        admin.delete_topics(["__consumer_offsets"])["__consumer_offsets"].result(60)
    errors = []
    producer = Producer({"bootstrap.servers": node.kafka})
    producer.produce("__consumer_offsets", b"x", partition=0, on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)
    assert errors[0] is not None


def test_notes(node):
    """A note is kept with its offset; one of a megabyte is refused and nothing else disturbed."""
    topic = topic_of(node, "notes", messages=4)
    consumer = member(node, "notes", topic)
    read(consumer, 4)
    consumer.commit(offsets=[TopicPartition(topic, 0, 1, metadata="a note")], asynchronous=False)
    assert consumer.committed([TopicPartition(topic, 0)], timeout=60)[0].metadata == "a note"
    with pytest.raises(KafkaException, match="OFFSET_METADATA_TOO_LARGE"):
        consumer.commit(offsets=[TopicPartition(topic, 0, 1, metadata="x" * 1_000_000)], asynchronous=False)
    assert consumer.committed([TopicPartition(topic, 0)], timeout=60)[0].metadata == "a note"
    consumer.close()


def text(value):
    return struct.pack(">h", len(value)) + value


def request(key, version, correlation, body):
    frame = struct.pack(">hhi", key, version, correlation) + text(b"raw") + body
    return struct.pack(">i", len(frame)) + frame


def answer(connection):
    def exactly(count):
        # A socket with a timeout may return less than MSG_WAITALL asks for.
        got = b""
        while len(got) < count:
            part = connection.recv(count - len(got))
            assert part, "the connection was closed"
            got += part
        return got

    return exactly(struct.unpack(">i", exactly(4))[0])


def offset_by_new_client(node, asked):
    """What a client that knows nothing of an earlier life of the node is told; None when it is told nothing yet."""
    admin = AdminClient({"bootstrap.servers": node.kafka})
    try:
        return admin.list_consumer_group_offsets(asked)["group-7"].result(20).topic_partitions[0].offset
    except (TimeoutError, concurrent.futures.TimeoutError, KafkaException):
        return None


def test_ten_thousand_groups(own_node):
    """Groups beyond the memory table are refused in the protocol's words; those before them keep their offsets."""
    topic_of(own_node, "many", messages=4)
    first = member(own_node, "first", "many")
    read(first, 4)
    first.close()
    host, port = own_node.kafka.rsplit(":", 1)
    codes = []
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for start in range(0, 10_000, 100):
            frames = b""
            for number in range(start, start + 100):
                partition = struct.pack(">iq", 0, number) + text(b"")
                topics = struct.pack(">i", 1) + text(b"many") + struct.pack(">i", 1) + partition
                body = text(f"group-{number}".encode()) + struct.pack(">i", -1) + text(b"") + struct.pack(">q", -1) + topics
                frames += request(8, 2, number, body)
            connection.sendall(frames)
            codes += [struct.unpack(">h", answer(connection)[-2:])[0] for _ in range(100)]
    assert set(codes) <= {0, 15} and codes[0] == 0, set(codes)
    assert codes.count(0) > 3000
    asked = [ConsumerGroupTopicPartitions("group-7")]
    admin = AdminClient({"bootstrap.servers": own_node.kafka})
    assert admin.list_consumer_group_offsets(asked)["group-7"].result(60).topic_partitions[0].offset == 7
    own_node.kill()
    own_node.start()
    assert eventually(lambda: offset_by_new_client(own_node, asked) == 7, seconds=90)
    assert "panicked" not in own_node.diagnostics()
