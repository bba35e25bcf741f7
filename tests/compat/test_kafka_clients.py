"""Producers and consumers of librdkafka, kafka-python and aiokafka with their default settings."""

import asyncio
import subprocess
import time

import aiokafka
import kafka
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic


def librdkafka_read(node, topic, partition, count, **settings):
    """Reads `count` messages of one partition from its beginning, without a group."""
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "none", "enable.auto.commit": False, **settings})
    consumer.assign([TopicPartition(topic, partition, 0)])
    got, deadline = [], time.monotonic() + 60
    while len(got) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None:
            assert message.error() is None, message.error()
            got.append(message.value())
    consumer.close()
    return got


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_librdkafka(node, codec):
    """librdkafka produces and reads back in order, with every codec."""
    topic, delivered = f"rd-{codec}", []
    producer = Producer({"bootstrap.servers": node.kafka, "compression.type": codec, "linger.ms": 20})
    for number in range(500):
        producer.produce(topic, f"{number:04}" * 20, on_delivery=lambda error, message: delivered.append(error), partition=0)
    assert producer.flush(60) == 0
    assert delivered == [None] * 500
    assert librdkafka_read(node, topic, 0, 500) == [f"{number:04}".encode() * 20 for number in range(500)]


def test_librdkafka_idempotent(node):
    """enable.idempotence gets a producer id and loses and duplicates nothing."""
    producer = Producer({"bootstrap.servers": node.kafka, "enable.idempotence": True})
    for number in range(2000):
        producer.produce("rd-idempotent", str(number), partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    assert librdkafka_read(node, "rd-idempotent", 0, 2000) == [str(number).encode() for number in range(2000)]


def test_librdkafka_admin(node):
    """Create, list, describe configuration, add partitions, delete: each answers as Kafka does."""
    admin = AdminClient({"bootstrap.servers": node.kafka})
    created = admin.create_topics([NewTopic("rd-admin", 3, 1, config={"retention.ms": "3600000"})])
    assert created["rd-admin"].result(60) is None
    again = admin.create_topics([NewTopic("rd-admin", 3, 1)])
    with pytest.raises(Exception, match="TOPIC_ALREADY_EXISTS"):
        again["rd-admin"].result(60)
    with pytest.raises(Exception, match="INVALID_REPLICATION_FACTOR"):
        admin.create_topics([NewTopic("rd-many", 1, 3)])["rd-many"].result(60)
    with pytest.raises(Exception, match="TOPIC_EXCEPTION|INVALID_TOPIC"):
        admin.create_topics([NewTopic("not a name", 1, 1)])["not a name"].result(60)
    assert len(admin.list_topics(timeout=60).topics["rd-admin"].partitions) == 3
    resource = ConfigResource("topic", "rd-admin")
    configs = admin.describe_configs([resource])[resource].result(60)
    assert configs["retention.ms"].value == "3600000"
    assert configs["cleanup.policy"].value == "delete"
    assert admin.create_partitions([NewPartitions("rd-admin", 5)])["rd-admin"].result(60) is None
    assert len(admin.list_topics(timeout=60).topics["rd-admin"].partitions) == 5
    assert admin.delete_topics(["rd-admin"])["rd-admin"].result(60) is None
    assert "rd-admin" not in admin.list_topics(timeout=60).topics


def test_offsets_by_time(node):
    """ListOffsets finds the first record at or after a time, the start and the end."""
    producer = Producer({"bootstrap.servers": node.kafka})
    base = int(time.time() * 1000) - 100_000
    for number in range(100):
        producer.produce("rd-times", str(number), partition=0, timestamp=base + number * 1000)
        producer.flush(60)
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "none"})
    found = consumer.offsets_for_times([TopicPartition("rd-times", 0, base + 41_500)], timeout=60)
    assert found[0].offset == 42
    assert consumer.get_watermark_offsets(TopicPartition("rd-times", 0), timeout=60) == (0, 100)
    consumer.close()


def test_kafka_python(node):
    """kafka-python's default producer (idempotent) and a consumer with an assignment."""
    producer = kafka.KafkaProducer(bootstrap_servers=node.kafka)
    futures = [producer.send("kp-topic", key=b"k", value=str(number).encode(), headers=[("h", b"v")]) for number in range(300)]
    for future in futures:
        future.get(60)
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=node.kafka, consumer_timeout_ms=60000)
    consumer.assign([kafka.TopicPartition("kp-topic", 0)])
    consumer.seek_to_beginning()
    got = []
    for message in consumer:
        got.append(message.value)
        assert message.headers == [("h", b"v")]
        if len(got) == 300:
            break
    consumer.close()
    assert got == [str(number).encode() for number in range(300)]


def test_aiokafka(node):
    """aiokafka's default producer and a consumer with an assignment."""

    async def main():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=node.kafka)
        await producer.start()
        for number in range(300):
            await producer.send("aio-topic", str(number).encode(), partition=0)
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=node.kafka, auto_offset_reset="earliest")
        await consumer.start()
        partition = aiokafka.TopicPartition("aio-topic", 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        got = [(await asyncio.wait_for(consumer.getone(), 60)).value for _ in range(300)]
        await consumer.stop()
        assert got == [str(number).encode() for number in range(300)]

    asyncio.run(main())


def test_kcat_lists_metadata(node):
    """kcat -L shows the one broker as controller, at the address it was asked by."""
    out = subprocess.run(["kcat", "-L", "-m", "60", "-b", node.kafka], capture_output=True, text=True, timeout=120).stdout
    assert f"at {node.kafka} (controller)" in out


def test_large_batch_comes_whole(node):
    """A consumer whose fetch limits are smaller than a batch still gets on."""
    producer = Producer({"bootstrap.servers": node.kafka, "message.max.bytes": 1_000_000})
    producer.produce("rd-large", b"x" * 900_000, partition=0)
    producer.produce("rd-large", b"y" * 900_000, partition=0)
    assert producer.flush(60) == 0
    for _ in range(20):  # a reply that is queued while an earlier one leaves must leave too
        got = librdkafka_read(node, "rd-large", 0, 2, **{"fetch.message.max.bytes": 1000, "fetch.max.bytes": 1_000_000})
        assert [len(value) for value in got] == [900_000, 900_000]
