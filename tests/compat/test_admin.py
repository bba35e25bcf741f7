"""Administration by stock clients: librdkafka's and kafka-python's admin clients over the whole surface."""

import pytest
from confluent_kafka import ElectionType, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from kafka.admin import ACLFilter, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern
from kafka.admin import ResourceType as PythonResourceType
from kafka.errors import SecurityDisabledError
from kafka.structs import TopicPartition as PythonPartition


@pytest.fixture
def admin(node):
    return AdminClient({"bootstrap.servers": node.kafka})


@pytest.fixture
def python_admin(node):
    client = KafkaAdminClient(bootstrap_servers=node.kafka)
    yield client
    client.close()


def make_topic(admin, name, partitions=1, **config):
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(10)


def fill(node, topic, count, partition=0, size=100):
    producer = Producer({"bootstrap.servers": node.kafka})
    for number in range(count):
        producer.produce(topic, f"{number:08}".ljust(size), partition=partition)
    assert producer.flush(20) == 0


def test_delete_records(node, admin, python_admin):
    """Records go up to an offset or the high watermark; beyond it, of compacted and of internal topics, none does."""
    make_topic(admin, "delete-records", 2)
    make_topic(admin, "delete-compacted", 1, **{"cleanup.policy": "compact"})
    fill(node, "delete-records", 10)
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 4)])
    assert [future.result(10).low_watermark for future in deleted.values()] == [4]
    # Below the start already: the start stays where it is.
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 2)])
    assert [future.result(10).low_watermark for future in deleted.values()] == [4]
    python_admin.delete_records({PythonPartition("delete-records", 0): -1})
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 10)])
    assert [future.result(10).low_watermark for future in deleted.values()] == [10]
    for partition, error in [
        (TopicPartition("delete-records", 0, 11), "OFFSET_OUT_OF_RANGE"),
        (TopicPartition("delete-records", 7, 0), "No leaders found"),
        (TopicPartition("delete-compacted", 0, 0), "POLICY_VIOLATION"),
    ]:
        with pytest.raises(Exception, match=error):
            for future in admin.delete_records([partition]).values():
                future.result(10)


def test_log_dirs(node, admin, python_admin):
    """Sizes of partitions and the room on the disk."""
    make_topic(admin, "log-dirs", 2)
    fill(node, "log-dirs", 1000)
    answer = python_admin.describe_log_dirs()
    text = str(answer)
    assert "log-dirs" in text and node.directory in text
    assert "total_bytes=-1" not in text


def test_acls(admin, python_admin):
    """Without an authorizer each call says SECURITY_DISABLED."""
    binding = AclBinding(
        ResourceType.TOPIC, "t", ResourcePatternType.LITERAL, "User:a", "*", AclOperation.READ, AclPermissionType.ALLOW
    )
    any_acl = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
    )
    for future in [*admin.create_acls([binding]).values(), *admin.delete_acls([any_acl]).values()]:
        with pytest.raises(Exception, match="SECURITY_DISABLED"):
            future.result(10)
    everything = ACLFilter(
        None, None, ACLOperation.ANY, ACLPermissionType.ANY, ResourcePattern(PythonResourceType.TOPIC, "t")
    )
    with pytest.raises(SecurityDisabledError):
        python_admin.describe_acls(everything)


def test_elections_and_reassignments(admin, python_admin):
    """A single node has nothing to elect and nothing to move, and says so."""
    make_topic(admin, "elect", 2)
    asked = [TopicPartition("elect", 0), TopicPartition("elect", 9)]
    elected = admin.elect_leaders(ElectionType.PREFERRED, asked).result(10)
    assert sorted(error.name() for error in elected.values()) == ["ELECTION_NOT_NEEDED", "UNKNOWN_TOPIC_OR_PART"]
    # Of all partitions only those are told that lack a leader.
    assert admin.elect_leaders(ElectionType.UNCLEAN).result(10) == {}
    assert python_admin.list_partition_reassignments() == {}
    moved = python_admin.alter_partition_reassignments({PythonPartition("elect", 0): [1]})
    assert moved == {PythonPartition("elect", 0): None}
    moved = python_admin.alter_partition_reassignments({PythonPartition("elect", 0): [2]})
    assert "InvalidReplic" in str(moved)


def test_topic_partitions_in_pages(admin, python_admin):
    """A page holds as many partitions as were asked for, and its cursor leads to the next."""
    make_topic(admin, "paged", 5)
    page = python_admin.describe_topic_partitions(["paged"], response_partition_limit=3)
    assert [partition["partition_index"] for partition in page["topics"][0]["partitions"]] == [0, 1, 2]
    assert page["next_cursor"] == {"topic_name": "paged", "partition_index": 3}
    missing = python_admin.describe_topic_partitions(["not-there"])
    assert missing["topics"][0]["error_code"] == 3
