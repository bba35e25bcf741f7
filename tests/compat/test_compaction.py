"""Compacted topics by stock clients: the last value of every key survives, whatever happens to the node meanwhile."""

import os
import random
import time

import kafka
import kafka.errors
import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from node import Node, eventually

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
EAGER = {"cleanup.policy": "compact", "segment.bytes": "30000", "min.cleanable.dirty.ratio": "0.1", "delete.retention.ms": "500"}
SETTINGS = ["log.cleaner.backoff.ms=50", "offsets.topic.num.partitions=1"]


def create(node, topic, configs):
    admin = KafkaAdminClient(bootstrap_servers=node.kafka)
    admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configs)])
    admin.close()


def produce(node, topic, state, rounds, chance):
    """Writes keys over and over, compressed in every way; `state` gets what was acknowledged."""
    for number in range(rounds):
        producer = Producer({"bootstrap.servers": node.kafka, "compression.type": CODECS[number % 5], "linger.ms": 5,
                             "enable.idempotence": number % 2 == 0, "message.timeout.ms": 120000, "log_level": 0})
        for _ in range(600):
            key = f"key-{chance.randrange(200)}"
            value = None if chance.randrange(9) == 0 else f"{key} {number} {chance.random()} {'x' * 40}"
            state[key] = value
            producer.produce(topic, key=key, value=value)
        assert producer.flush(120) == 0


def read(node, topic):
    """Everything, as (offset, key, value); offsets ascend."""
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "readers", "enable.partition.eof": True,
                         "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    records, deadline = [], time.monotonic() + 90
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            break
        value = message.value()
        records.append((message.offset(), message.key().decode(), None if value is None else value.decode()))
    consumer.close()
    assert all(one[0] < other[0] for one, other in zip(records, records[1:]))
    return records


def assert_current(records, state):
    found = {key: value for _, key, value in records}
    assert {key: value for key, value in found.items() if value is not None} == \
        {key: value for key, value in state.items() if value is not None}


def test_last_value_of_each_key(tmp_path):
    """Superseded records go, then tombstones; every client reads across the gaps, from any offset."""
    node, state = Node(tmp_path, *SETTINGS), {}
    create(node, "compacted", EAGER)
    produce(node, "compacted", state, 6, random.Random(1))
    assert eventually(lambda: len(read(node, "compacted")) < 1500, seconds=90)
    records = read(node, "compacted")
    assert_current(records, state)

    consumer = kafka.KafkaConsumer(bootstrap_servers=node.kafka, consumer_timeout_ms=60000, enable_auto_commit=False)
    partition = kafka.TopicPartition("compacted", 0)
    consumer.assign([partition])
    places, found = (0, records[5][0] - 1, records[5][0] + 1, records[-1][0]), []
    for wanted in places:
        consumer.seek(partition, wanted)
        found.append(next(consumer).offset)
    consumer.close()
    # Compaction may go on meanwhile: it takes records away and brings none.
    later = read(node, "compacted")
    for wanted, offset in zip(places, found):
        first, last = (next(place for place, _, _ in known if place >= wanted) for known in (records, later))
        assert first <= offset <= last, wanted

    with pytest.raises(kafka.errors.KafkaError) as refused:
        producer = kafka.KafkaProducer(bootstrap_servers=node.kafka, retries=0, enable_idempotence=False)
        producer.send("compacted", b"no key", partition=0).get(60)
    assert refused.value.errno == 87

    assert node.stop() == 0
    node.start()
    assert_current(read(node, "compacted"), state)
    assert node.stop() == 0


def test_killed_while_compacting(tmp_path):
    """Kills at moments of compaction's choice lose no acknowledged value and bring none back."""
    node, state, chance = Node(tmp_path, *SETTINGS, "log.cleaner.io.max.bytes.per.second=600000"), {}, random.Random(2)
    create(node, "killed", EAGER)
    directory, seen = tmp_path / "topics" / "killed-0", 0
    for _ in range(6):
        produce(node, "killed", state, 2, chance)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            names = os.listdir(directory)
            if any(name.endswith((".cleaned", ".swap")) for name in names):
                seen += 1
                break
        time.sleep(chance.random() / 20)
        node.kill()
        node.start()
        assert_current(read(node, "killed"), state)
    assert seen > 0, "no kill met a compaction"
    assert node.stop() == 0


def test_offsets_topic_stays_small(tmp_path):
    """Commits over and over do not let __consumer_offsets grow, and survive its compaction and a kill."""
    node = Node(tmp_path, *SETTINGS, "offsets.topic.segment.bytes=20000")
    create(node, "read", {})
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "busy", "enable.auto.commit": False, "log_level": 0})
    for number in range(1500):
        consumer.commit(offsets=[TopicPartition("read", 0, number)], asynchronous=number % 20 != 0)
    consumer.commit(offsets=[TopicPartition("read", 0, 4321)], asynchronous=False)
    directory = tmp_path / "topics" / "__consumer_offsets-0"

    def size():
        try:
            return sum(path.stat().st_size for path in directory.glob("*.log"))
        except FileNotFoundError:  # compacted away between two looks
            return float("inf")

    assert eventually(lambda: size() < 60_000), size()
    consumer.close()
    node.kill()
    node.start()
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "busy", "enable.auto.commit": False, "log_level": 0})
    assert consumer.committed([TopicPartition("read", 0)], timeout=60)[0].offset == 4321
    consumer.close()
    assert node.stop() == 0
