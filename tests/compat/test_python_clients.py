"""Every codec of kafka-python and aiokafka, and the admin clients of all three Python clients over what they can ask."""

import asyncio

import aiokafka
import aiokafka.admin
import kafka
import kafka.admin
import pytest
from confluent_kafka import ElectionType, IsolationLevel, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

CODECS = ["gzip", "snappy", "lz4", "zstd"]


def values(count):
    return [f"{number:04}".encode() * 20 for number in range(count)]


@pytest.mark.parametrize("codec", CODECS)
def test_kafka_python_codecs(node, codec):
    """kafka-python produces with each codec and reads it back."""
    topic = f"kp-{codec}"
    producer = kafka.KafkaProducer(bootstrap_servers=node.kafka, compression_type=codec, linger_ms=20)
    sent = [producer.send(topic, value) for value in values(300)]
    producer.flush(60)
    assert [one.get(60).offset for one in sent] == list(range(300))
    producer.close()
    consumer = kafka.KafkaConsumer(bootstrap_servers=node.kafka, consumer_timeout_ms=60000)
    consumer.assign([kafka.TopicPartition(topic, 0)])
    consumer.seek_to_beginning()
    got = [message.value for _, message in zip(range(300), consumer)]
    consumer.close()
    assert got == values(300)


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka_codecs(node, codec):
    """aiokafka produces with each codec, idempotent, and reads it back."""
    topic = f"aio-{codec}"

    async def main():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=node.kafka, compression_type=codec, enable_idempotence=True)
        await producer.start()
        for sent in [await producer.send(topic, value, partition=0) for value in values(300)]:
            await sent
        await producer.stop()
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=node.kafka)
        await consumer.start()
        partition = aiokafka.TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        got = [(await asyncio.wait_for(consumer.getone(), 60)).value for _ in range(300)]
        await consumer.stop()
        assert got == values(300)

    asyncio.run(main())


def produced(node, topic, partitions=1, count=20):
    """A topic with so many messages."""
    admin = AdminClient({"bootstrap.servers": node.kafka})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(60)
    producer = Producer({"bootstrap.servers": node.kafka})
    for number in range(count):
        producer.produce(topic, str(number), partition=number % partitions)
    assert producer.flush(60) == 0
    return topic


def test_librdkafka_admin(node):
    """What confluent-kafka's admin client can ask beyond topics and groups."""
    topic = produced(node, "rd-whole")
    admin = AdminClient({"bootstrap.servers": node.kafka})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entry = ConfigEntry("retention.ms", "7200000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([changed])[changed].result(60)
    assert admin.describe_configs([resource])[resource].result(60)["retention.ms"].value == "7200000"
    whole = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config={"max.message.bytes": "100000"})
    admin.alter_configs([whole])[whole].result(60)
    described = admin.describe_configs([resource])[resource].result(60)
    assert (described["retention.ms"].value, described["max.message.bytes"].value) == ("604800000", "100000")
    wrong = ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)
    wrong = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[wrong])
    with pytest.raises(Exception, match="INVALID_CONFIG"):
        admin.incremental_alter_configs([wrong])[wrong].result(60)
    place = TopicPartition(topic, 0)
    asked = {place: OffsetSpec.latest()}
    found = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED)[place].result(60)
    assert found.offset == 20
    assert admin.delete_records([TopicPartition(topic, 0, 5)])[TopicPartition(topic, 0, 5)].result(60).low_watermark == 5
    assert admin.list_offsets({place: OffsetSpec.earliest()})[place].result(60).offset == 5
    cluster = admin.describe_cluster().result(60)
    assert (cluster.controller.id, len(cluster.nodes)) == (1, 1)
    topics = admin.describe_topics(TopicCollection([topic]))[topic].result(60)
    assert [partition.leader.id for partition in topics.partitions] == [1]
    elected = admin.elect_leaders(ElectionType.PREFERRED, [place]).result(60)
    assert "ELECTION_NOT_NEEDED" in str(elected[place])
    assert admin.describe_user_scram_credentials().result(60) == {}
    anything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    assert admin.describe_acls(anything).result(60) == []  # librdkafka makes that of SECURITY_DISABLED


def test_kafka_python_admin(node):
    """What kafka-python's admin client can ask."""
    topic = produced(node, "kp-whole", partitions=2)
    admin = kafka.admin.KafkaAdminClient(bootstrap_servers=node.kafka)
    assert topic in admin.list_topics()
    assert len(admin.describe_topics([topic])[0]["partitions"]) == 2
    resource = kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic, {"retention.ms": "7200000"})
    admin.alter_configs([resource])
    described = admin.describe_configs([kafka.admin.ConfigResource(kafka.admin.ConfigResourceType.TOPIC, topic)])
    assert "7200000" in str(described), described
    admin.create_partitions({topic: kafka.admin.NewPartitions(3)})
    place = kafka.TopicPartition(topic, 0)
    assert "4" in str(admin.delete_records({place: 4}))
    assert topic in str(admin.describe_log_dirs())
    admin.describe_cluster()
    admin.describe_metadata_quorum()
    admin.describe_features()
    admin.list_config_resources()
    assert admin.list_transactions() == {1: []}
    assert not admin.list_partition_reassignments()
    admin.describe_user_scram_credentials()
    consumer = kafka.KafkaConsumer(topic, bootstrap_servers=node.kafka, group_id="kp-whole", auto_offset_reset="earliest", consumer_timeout_ms=60000)
    assert len([message for _, message in zip(range(16), consumer)]) == 16
    consumer.commit()
    assert "kp-whole" in str(admin.list_groups())
    assert "Stable" in str(admin.describe_groups(["kp-whole"]))
    consumer.close()
    assert place in admin.list_group_offsets({"kp-whole": None})["kp-whole"]
    admin.delete_groups(["kp-whole"])
    assert "kp-whole" not in str(admin.list_groups())
    admin.delete_topics([topic])
    assert topic not in admin.list_topics()
    admin.close()


def test_aiokafka_admin(node):
    """What aiokafka's admin client can ask."""
    topic = produced(node, "aio-whole", partitions=2)

    async def main():
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=node.kafka)
        await admin.start()
        assert topic in await admin.list_topics()
        assert len((await admin.describe_topics([topic]))[0]["partitions"]) == 2
        resource = aiokafka.admin.config_resource.ConfigResource
        kind = aiokafka.admin.config_resource.ConfigResourceType.TOPIC
        await admin.alter_configs([resource(kind, topic, {"retention.ms": "7200000"})])
        assert "7200000" in str(await admin.describe_configs([resource(kind, topic)]))
        await admin.create_partitions({topic: aiokafka.admin.NewPartitions(3)})
        place = aiokafka.TopicPartition(topic, 0)
        assert (await admin.delete_records({place: aiokafka.admin.RecordsToDelete(4)}))[place] == 4
        assert (await admin.describe_cluster())["controller_id"] == 1
        await admin.list_consumer_groups()
        assert await admin.find_coordinator("aio-whole") == 1
        assert not await admin.list_consumer_group_offsets("aio-whole")
        await admin.delete_topics([topic])
        assert topic not in await admin.list_topics()
        await admin.close()

    asyncio.run(main())
