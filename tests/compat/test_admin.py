"""Administration by stock clients: librdkafka's and kafka-python's admin clients over the whole surface."""

import time

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, ElectionType, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.admin import ACLFilter, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern
from kafka.admin import ConfigResource as PythonConfigResource
from kafka.admin import ConfigResourceType
from kafka.admin import ResourceType as PythonResourceType
from kafka.errors import SecurityDisabledError
from kafka.protocol.admin import AlterClientQuotasRequest
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
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(60)


def fill(node, topic, count, partition=0, size=100, **settings):
    producer = Producer({"bootstrap.servers": node.kafka, **settings})
    for number in range(count):
        producer.produce(topic, f"{number:08}".ljust(size), partition=partition)
    assert producer.flush(60) == 0


def change(admin, kind, name, *changes):
    """IncrementalAlterConfigs of one resource: (operation, key, value) each."""
    entries = [
        ConfigEntry(key, value, incremental_operation=getattr(AlterConfigOpType, operation))
        for operation, key, value in changes
    ]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    return admin.incremental_alter_configs([resource])[resource].result(60)


def described(admin, kind, name):
    return list(admin.describe_configs([ConfigResource(kind, name)]).values())[0].result(60)


def produced(node, topic, value, **arguments):
    """The name of the error of one message, None when it was taken."""
    errors = []
    producer = Producer({"bootstrap.servers": node.kafka, "message.max.bytes": 10_000_000})
    producer.produce(topic, value, on_delivery=lambda error, message: errors.append(error), **arguments)
    assert producer.flush(60) == 0
    return errors[0].name() if errors[0] else None


TOPIC, BROKER = ConfigResource.Type.TOPIC, ConfigResource.Type.BROKER


def test_incremental_alter_configs(admin):
    """Set, delete, append and subtract; every wrong change is refused in Kafka's words and nothing of it happens."""
    make_topic(admin, "configs", **{"retention.ms": "1000"})
    change(admin, TOPIC, "configs", ("SET", "retention.ms", "2000"), ("APPEND", "cleanup.policy", "compact"))
    entries = described(admin, TOPIC, "configs")
    assert (entries["retention.ms"].value, entries["cleanup.policy"].value) == ("2000", "delete,compact")
    assert entries["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    change(admin, TOPIC, "configs", ("DELETE", "retention.ms", None), ("SUBTRACT", "cleanup.policy", "compact"))
    entries = described(admin, TOPIC, "configs")
    assert (entries["retention.ms"].value, entries["cleanup.policy"].value) == ("604800000", "delete")
    for changes, error in [
        ([("SET", "retention.ms", "soon")], "INVALID_CONFIG.*Not a number"),
        ([("SET", "no.such.key", "1")], "INVALID_CONFIG.*Unknown topic config name: no.such.key"),
        ([("SET", "retention.ms", "1"), ("SET", "retention.ms", "2")], "INVALID_REQUEST|duplicate|Duplicate"),
        ([("APPEND", "retention.ms", "1")], "INVALID_CONFIG.*APPEND"),
        ([("SET", "retention.ms", "9" * 1_000_000)], "INVALID_CONFIG.*more than"),
        ([("SET", "flush.ms", "1"), ("SET", "segment.bytes", "-1")], "INVALID_CONFIG"),
        ([("SET", f"key-{number}", "1") for number in range(10_000)], "INVALID_CONFIG.*Unknown"),
    ]:
        with pytest.raises(Exception, match=error):
            change(admin, TOPIC, "configs", *changes)
    assert described(admin, TOPIC, "configs")["flush.ms"].value == "9223372036854775807"
    with pytest.raises(Exception, match="UNKNOWN_TOPIC_OR_PART"):
        change(admin, TOPIC, "no-such-topic", ("SET", "retention.ms", "1"))


def test_alter_configs_replaces(admin):
    """AlterConfigs takes the whole configuration of a topic: what it does not name is gone."""
    make_topic(admin, "whole", **{"retention.ms": "1000", "segment.bytes": "100000"})
    resource = ConfigResource(TOPIC, "whole", set_config={"retention.ms": "5000"})
    for future in admin.alter_configs([resource]).values():
        assert future.result(60) is None
    entries = described(admin, TOPIC, "whole")
    assert (entries["retention.ms"].value, entries["segment.bytes"].value) == ("5000", "1073741824")
    bad = ConfigResource(TOPIC, "whole", set_config={f"key-{number}": "x" for number in range(10_000)})
    for future in admin.alter_configs([bad]).values():
        with pytest.raises(Exception, match="INVALID_CONFIG"):
            future.result(60)
    assert described(admin, TOPIC, "whole")["retention.ms"].value == "5000"


def test_broker_configs(node, admin, python_admin):
    """A broker's configuration acts on topics that say nothing themselves; what needs a restart is refused."""
    make_topic(admin, "inherits")
    make_topic(admin, "speaks", **{"max.message.bytes": "500000"})
    change(admin, BROKER, "1", ("SET", "message.max.bytes", "20000"), ("SET", "log.retention.ms", "777000"))
    assert produced(node, "inherits", b"x" * 30_000) == "MSG_SIZE_TOO_LARGE"
    assert produced(node, "speaks", b"x" * 30_000) is None
    inherited = described(admin, TOPIC, "inherits")["retention.ms"]
    assert (inherited.value, inherited.source) == ("777000", ConfigSource.DYNAMIC_BROKER_CONFIG.value)
    entry = described(admin, BROKER, "1")["log.retention.ms"]
    assert (entry.value, entry.is_read_only) == ("777000", False)
    change(admin, BROKER, "1", ("DELETE", "message.max.bytes", None), ("DELETE", "log.retention.ms", None))
    assert produced(node, "inherits", b"x" * 30_000) is None
    for key in ["broker.id", "log.dirs", "listeners", "no.such.key"]:
        with pytest.raises(Exception, match="Cannot update these configs dynamically"):
            change(admin, BROKER, "1", ("SET", key, "7"))
    with pytest.raises(Exception, match="INVALID_REQUEST.*log.retention.ms"):
        change(admin, BROKER, "1", ("SET", "log.retention.ms", "soon"))
    assert described(admin, BROKER, "1")["broker.id"].is_read_only


def test_configs_in_force(node, admin):
    """What is altered holds for the next request: sizes, times, whose clock."""
    make_topic(admin, "in-force")
    change(admin, TOPIC, "in-force", ("SET", "max.message.bytes", "1000"))
    assert produced(node, "in-force", b"x" * 2000) == "MSG_SIZE_TOO_LARGE"
    change(admin, TOPIC, "in-force", ("SET", "max.message.bytes", "1500000"))
    assert produced(node, "in-force", b"x" * 1_300_000) is None
    change(admin, TOPIC, "in-force", ("SET", "message.timestamp.before.max.ms", "60000"))
    assert produced(node, "in-force", b"old", timestamp=1_000_000) == "INVALID_TIMESTAMP"
    change(admin, TOPIC, "in-force", ("SET", "message.timestamp.type", "LogAppendTime"))
    assert produced(node, "in-force", b"old", timestamp=1_000_000) is None
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition("in-force", 0, 1)])
    kind, time_ms = consumer.poll(60).timestamp()
    consumer.close()
    assert kind == TIMESTAMP_LOG_APPEND_TIME and abs(time_ms - time.time() * 1000) < 60_000


def test_configs_survive(own_node):
    """Configurations lie in the tree: they are there after a kill."""
    admin = AdminClient({"bootstrap.servers": own_node.kafka})
    make_topic(admin, "survives")
    change(admin, TOPIC, "survives", ("SET", "retention.ms", "12345"))
    change(admin, BROKER, "1", ("SET", "log.segment.bytes", "70000"))
    own_node.kill()
    own_node.start()
    entries = described(AdminClient({"bootstrap.servers": own_node.kafka}), TOPIC, "survives")
    assert (entries["retention.ms"].value, entries["segment.bytes"].value) == ("12345", "70000")


def test_delete_records(node, admin, python_admin):
    """Records go up to an offset or the high watermark; beyond it, of compacted and of internal topics, none does."""
    make_topic(admin, "delete-records", 2)
    make_topic(admin, "delete-compacted", 1, **{"cleanup.policy": "compact"})
    fill(node, "delete-records", 10)
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 4)])
    assert [future.result(60).low_watermark for future in deleted.values()] == [4]
    # Below the start already: the start stays where it is.
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 2)])
    assert [future.result(60).low_watermark for future in deleted.values()] == [4]
    python_admin.delete_records({PythonPartition("delete-records", 0): -1})
    deleted = admin.delete_records([TopicPartition("delete-records", 0, 10)])
    assert [future.result(60).low_watermark for future in deleted.values()] == [10]
    for partition, error in [
        (TopicPartition("delete-records", 0, 11), "OFFSET_OUT_OF_RANGE"),
        (TopicPartition("delete-records", 7, 0), "No leaders found"),
        (TopicPartition("delete-compacted", 0, 0), "POLICY_VIOLATION"),
    ]:
        with pytest.raises(Exception, match=error):
            for future in admin.delete_records([partition]).values():
                future.result(60)


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
            future.result(60)
    everything = ACLFilter(
        None, None, ACLOperation.ANY, ACLPermissionType.ANY, ResourcePattern(PythonResourceType.TOPIC, "t")
    )
    with pytest.raises(SecurityDisabledError):
        python_admin.describe_acls(everything)


def test_elections_and_reassignments(admin, python_admin):
    """A single node has nothing to elect and nothing to move, and says so."""
    make_topic(admin, "elect", 2)
    asked = [TopicPartition("elect", 0), TopicPartition("elect", 9)]
    elected = admin.elect_leaders(ElectionType.PREFERRED, asked).result(60)
    assert sorted(error.name() for error in elected.values()) == ["ELECTION_NOT_NEEDED", "UNKNOWN_TOPIC_OR_PART"]
    # Of all partitions only those are told that lack a leader.
    assert admin.elect_leaders(ElectionType.UNCLEAN).result(60) == {}
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


def test_quorum_producers_transactions(node, admin, python_admin):
    """The quorum's one voter, the producers of a partition, and no transactions."""
    make_topic(admin, "idempotent")
    producer = Producer({"bootstrap.servers": node.kafka, "enable.idempotence": True})
    for number in range(3):
        producer.produce("idempotent", str(number))
        assert producer.flush(60) == 0
    quorum = python_admin.describe_metadata_quorum()["topics"][0]["partitions"][0]
    assert quorum["leader_id"] == 1 and quorum["high_watermark"] > 1
    assert [voter["replica_id"] for voter in quorum["current_voters"]] == [1]
    partition = PythonPartition("idempotent", 0)
    state = python_admin.describe_producers([partition])[partition].active_producers[0]
    assert (state.producer_epoch, state.last_sequence) == (0, 2)
    assert python_admin.list_transactions() == {1: []}


def test_config_resources(admin, python_admin):
    """What can be described is listed, and loggers and groups are described as far as they have anything to tell."""
    make_topic(admin, "listed")
    listed = python_admin.list_config_resources()
    assert "listed" in listed["topic"] and listed["broker"] == ["1"]
    logger = python_admin.describe_configs([PythonConfigResource(ConfigResourceType.BROKER_LOGGER, "1")])
    assert logger["broker_logger"]["1"]["root"]["value"] == "INFO"


def test_scram(admin):
    """No user has credentials, and none gets any that would protect nothing."""
    assert admin.describe_user_scram_credentials().result(60) == {}
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192)
    for alteration, error in [
        (UserScramCredentialUpsertion("user", credential, b"password"), "SECURITY_DISABLED"),
        (UserScramCredentialDeletion("user", ScramMechanism.SCRAM_SHA_256), "RESOURCE_NOT_FOUND"),
    ]:
        for future in admin.alter_user_scram_credentials([alteration]).values():
            with pytest.raises(Exception, match=error):
                future.result(60)


def alter_quota(python_admin, client, **quotas):
    """AlterClientQuotas of one client id, None being all others; a quota of None is taken away."""
    entity = AlterClientQuotasRequest.EntryData.EntityData(entity_type="client-id", entity_name=client)
    ops = [
        AlterClientQuotasRequest.EntryData.OpData(key=key, value=value or 0.0, remove=value is None)
        for key, value in quotas.items()
    ]
    entry = AlterClientQuotasRequest.EntryData(entity=[entity], ops=ops)
    request = AlterClientQuotasRequest(entries=[entry], validate_only=False)
    entry = python_admin._manager.run(python_admin._manager.send, request).entries[0]
    return entry.error_code, entry.error_message


def test_produce_quota(node, admin, python_admin):
    """A producer is told to wait and kept to its rate; another one is not."""
    make_topic(admin, "quota")
    assert alter_quota(python_admin, "slow", producer_byte_rate=200_000.0) == (0, None)
    told = []
    slow = Producer({"bootstrap.servers": node.kafka, "client.id": "slow", "batch.size": 20_000, "throttle_cb": told.append})
    start = time.monotonic()
    for number in range(600):
        slow.produce("quota", b"x" * 1000, partition=0)
    assert slow.flush(60) == 0
    # Its acknowledgement waits until the debt of all before it is paid.
    slow.produce("quota", b"last", partition=0)
    assert slow.flush(60) == 0
    took = time.monotonic() - start
    assert 1.8 < took < 60, f"600 kB at 200 kB/s, a second's worth for free, took {took} s"
    assert told and max(event.throttle_time for event in told) > 0.05
    # Whoever is made to wait is told so; how long it took says nothing on a machine that does other work.
    spared = []
    fill(node, "quota", 600, size=1000, **{"client.id": "other", "throttle_cb": spared.append})
    assert not [event.throttle_time for event in spared if event.throttle_time > 0]
    assert alter_quota(python_admin, "slow", producer_byte_rate=None) == (0, None)


def test_fetch_quota(node, admin, python_admin):
    """A consumer gets all of it, no faster than its rate."""
    make_topic(admin, "fetch-quota")
    fill(node, "fetch-quota", 600, size=1000, **{"batch.size": 20_000})
    assert alter_quota(python_admin, "slow-reader", consumer_byte_rate=200_000.0) == (0, None)
    consumer = Consumer({
        "bootstrap.servers": node.kafka, "client.id": "slow-reader", "group.id": "none", "enable.auto.commit": False,
    })
    consumer.assign([TopicPartition("fetch-quota", 0, 0)])
    start, got = time.monotonic(), 0
    while got < 600 and time.monotonic() - start < 90:
        message = consumer.poll(0.5)
        got += message is not None and message.error() is None
    took = time.monotonic() - start
    consumer.close()
    assert got == 600 and took > 1, f"{got} in {took} s"


def test_quota_nonsense(python_admin):
    """What is no quota is refused with a sentence."""
    for quotas in [
        {"producer_byte_rate": -1.0},
        {"producer_byte_rate": 0.5},
        {"request_percentage": float("nan")},
        {"controller_mutation_rate": 1.0},
        {"no_such_rate": 1.0},
    ]:
        code, sentence = alter_quota(python_admin, "whoever", **quotas)
        assert code == 42 and sentence
