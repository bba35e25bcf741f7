"""Java's clients of ZooKeeper: Curator's recipes, ZooKeeper's shell, and Apache Kafka 3 in its ZooKeeper mode."""

import json
import pathlib
import re
import subprocess
import time

import pytest
import zk_server
from java_tools import INSTALLED, Tools, missing
from kazoo.client import KazooClient
from node import eventually, free_ports

SOURCES = pathlib.Path(__file__).parent / "java-zookeeper"
RECIPES = sorted(re.findall(r"void (recipe\w+)\(", (SOURCES / "Recipes.java").read_text()))


def classpath():
    jars = INSTALLED / "zookeeper"
    if not (jars / "classes").is_dir():
        missing("ZooKeeper's Java clients")
    return f"{jars}/classes:{jars}/*"


def java(*arguments, **options):
    level = options.pop("level", "off")
    flags = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dorg.slf4j.simpleLogger.defaultLogLevel={level}"]
    return subprocess.Popen(
        ["java", *flags, "-cp", classpath(), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    classpath()
    shared = zk_server.start(tmp_path_factory.mktemp("zookeeper"), "znode.container.checkIntervalMs=1000")
    yield shared
    assert shared.stop() == 0


@pytest.fixture(scope="module")
def recipes(server):
    """What became of each recipe; one JVM runs them all."""
    said, _ = java("Recipes", server.address).communicate(timeout=280)
    results = dict(reversed(part.split(None, 1)) for part in re.findall(r"^(?:ok|FAILED) \w+", said, re.M))
    return results, said


@pytest.mark.parametrize("recipe", RECIPES)
def test_curator(recipes, recipe):
    """One of Curator's recipes, with several clients."""
    results, said = recipes
    assert results.get(recipe) == "ok", said[said.find(f"FAILED {recipe}") :][:3000]


class Shell:
    """ZooKeeper's shell: what it prints for each command."""

    def __init__(self, address):
        self.process = java("org.apache.zookeeper.ZooKeeperMain", "-server", address, stderr=subprocess.STDOUT)
        self.count = 0
        self.run("ls /")

    def run(self, command):
        """The lines that a command prints; the echo of an unknown command marks their end."""
        self.count += 1
        mark = f"endofcommand{self.count}"
        self.process.stdin.write(f"{command}\nget /{mark}\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if f"Node does not exist: /{mark}" in line:
                return [line for line in lines if line and not line.startswith(("WATCHER::", "WatchedEvent"))]
            lines.append(line)
        raise AssertionError(f"the shell has ended: {lines}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def shell(server):
    opened = Shell(server.address)
    yield opened
    opened.close()


def test_shell_walkthrough(server, shell):
    """Create on one connection, get on another; ls shows it beside zookeeper."""
    other = Shell(server.address)
    assert shell.run('create /app1 "Hello, app1"') == ["Created /app1"]
    assert other.run("get /app1") == ["Hello, app1"]
    names = re.fullmatch(r"\[(.*)\]", other.run("ls /")[-1]).group(1).split(", ")
    assert {"app1", "zookeeper"} <= set(names)
    other.close()


def test_shell_commands(shell):
    """Everyday commands, with what the shell makes of the answers."""
    assert shell.run("create -s /seq- x") == ["Created /seq-" + shell.run("ls /")[-1].split("seq-")[1][:10]]
    assert shell.run("create -e /eph") == ["Created /eph"]
    assert shell.run("create -c /container") == ["Created /container"]
    assert shell.run("create -t 100000 /ttl") == ["Created /ttl"]
    assert any("ephemeralOwner = 0x" in line for line in shell.run("stat /eph"))
    assert shell.run("set -v 7 /app2 x")[-1].startswith("Node does not exist")
    shell.run("create /app2 one")
    assert any("version No is not valid" in line for line in shell.run("set -v 7 /app2 x"))
    assert shell.run("getAcl /app2") == ["'world,'anyone", ": cdrwa"]
    shell.run("addauth digest ann:secret")
    shell.run("setAcl /app2 auth::rwa")
    assert any("'digest,'ann:" in line for line in shell.run("getAcl /app2"))
    shell.run("create /app2/child deep")
    assert {"ip: 127.0.0.1", "digest: ann"} <= set(shell.run("whoami"))
    assert shell.run("getAllChildrenNumber /container") == ["0"]
    assert shell.run("getEphemerals /eph")[-1] == "[/eph]"
    assert shell.run("ls -R /container") == ["/container"]
    shell.run("deleteall /app2")
    assert "Node does not exist" in shell.run("stat /app2")[-1]
    assert shell.run("version")[0].startswith("ZooKeeper CLI version")


def test_shell_quota(shell):
    """setquota, listquota, and a hard limit that holds."""
    shell.run("create /limited")
    shell.run("setquota -N 3 /limited")
    assert any("countHardLimit=3" in line for line in shell.run("listquota /limited"))
    shell.run("create /limited/a")
    shell.run("create /limited/b")
    refused = shell.run("create /limited/c")
    assert any("uota" in line for line in refused), refused
    stats = shell.run("listquota /limited")
    assert any("count=3" in line for line in stats), stats
    shell.run("delete /limited/a")
    assert shell.run("create /limited/c") == ["Created /limited/c"]
    shell.run("delquota -N /limited")
    shell.run("delquota /limited")
    assert shell.run("create /limited/d") == ["Created /limited/d"]


def test_containers_go(server):
    """A container that has had children and has none goes; one that never had any stays."""
    client = KazooClient(server.address, timeout=30)
    client.start(60)
    shell = Shell(server.address)
    shell.run("create -c /swept")
    shell.run("create -c /unused")
    shell.run("create -t 500 /brief")
    client.create("/swept/child")
    time.sleep(1.5)
    assert client.exists("/swept")
    client.delete("/swept/child")
    assert eventually(lambda: client.exists("/swept") is None and client.exists("/brief") is None)
    assert client.exists("/unused")
    shell.close()
    client.stop()
    client.close()


KAFKA = """
broker.id=7
listeners=PLAINTEXT://127.0.0.1:{port}
log.dirs={directory}/logs
zookeeper.connect={address}/kafka3
zookeeper.session.timeout.ms=30000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def test_kafka_in_zookeeper_mode(server, tmp_path):
    """An unmodified Kafka 3 keeps its metadata here, in a chroot: topics are created, configured, written, read, deleted."""
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    (port,) = free_ports(1)
    properties = tmp_path / "server.properties"
    properties.write_text(KAFKA.format(port=port, directory=tmp_path, address=server.address))
    log = open(tmp_path / "kafka.log", "w")
    broker = java("kafka.Kafka", str(properties), stderr=log, level="info")
    client = KazooClient(server.address, timeout=30)
    client.start(60)
    try:
        bootstrap = {"bootstrap.servers": f"127.0.0.1:{port}"}
        assert eventually(lambda: client.exists("/kafka3/controller") and client.exists("/kafka3/brokers/ids/7"), 120)
        assert eventually(lambda: "[KafkaServer id=7] started" in (tmp_path / "kafka.log").read_text(), 60)
        admin = AdminClient(bootstrap)
        assert eventually(lambda: 7 in admin.list_topics(timeout=60).brokers)
        admin.create_topics([NewTopic("inside", 3, 1, config={"retention.ms": "1000000"})])["inside"].result(60)
        producer = Producer(bootstrap)
        for number in range(300):
            producer.produce("inside", str(number).encode(), str(number % 7).encode())
        assert producer.flush(60) == 0
        consumer = Consumer({**bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["inside"])
        seen = set()
        deadline = time.monotonic() + 90
        while len(seen) < 300 and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message and not message.error():
                seen.add(message.value())
        consumer.close()
        assert len(seen) == 300
        state = json.loads(client.get("/kafka3/brokers/topics/inside/partitions/0/state")[0])
        assert state["leader"] == 7 and state["isr"] == [7]
        assert json.loads(client.get("/kafka3/config/topics/inside")[0])["config"] == {"retention.ms": "1000000"}
        admin.delete_topics(["inside"])["inside"].result(60)
        assert eventually(lambda: client.exists("/kafka3/brokers/topics/inside") is None)
    finally:
        broker.terminate()
        broker.wait(90)
        client.stop()
        client.close()
        log.close()
    assert "ERROR" not in (tmp_path / "kafka.log").read_text()


ours = pytest.mark.skipif(zk_server.IS_REFERENCE, reason="a ZooKeeper alone is no broker")


@pytest.fixture(scope="module")
def old_tools(server):
    # The client of ZooKeeper 3.4 that came with 2.3 cannot resolve addresses on today's Java; a newer one takes its place.
    tools = Tools("2.3", "unused", ahead=[str(jar) for jar in (INSTALLED / "zookeeper").glob("zookeeper-*.jar")])
    yield tools
    tools.close()


def topics_by_tree(old_tools, server, *arguments):
    outcome = old_tools.run("topics", "--zookeeper", server.address, *arguments)
    assert outcome.code == 0, outcome
    return outcome.out


@ours
def test_old_tools_create_topics(server, old_tools, shell):
    """kafka-topics of 2.3 writes znodes, and topics come of it: created, described, grown, configured, deleted."""
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    out = topics_by_tree(old_tools, server, "--create", "--topic", "example_topic", "--partitions", 3,
                         "--replication-factor", 1, "--config", "retention.ms=7200000")
    assert "Created topic example_topic." in out
    admin = AdminClient({"bootstrap.servers": server.kafka})

    def partitions():
        # Asking for one topic by its name would create it.
        topic = admin.list_topics(timeout=60).topics.get("example_topic")
        return len(topic.partitions) if topic else 0

    assert eventually(lambda: partitions() == 3)
    assert eventually(lambda: json.loads(shell.run("get /brokers/topics/example_topic")[-1])["version"] == 3)
    data = json.loads(shell.run("get /brokers/topics/example_topic")[-1])
    assert data["partitions"] == {"0": [1], "1": [1], "2": [1]} and data["version"] == 3
    assert len(data["topic_id"]) == 22 and data["adding_replicas"] == {} == data["removing_replicas"]
    assert "example_topic" in shell.run("ls /brokers/topics")[-1]
    described = topics_by_tree(old_tools, server, "--describe", "--topic", "example_topic")
    assert re.search(r"PartitionCount:3\s+ReplicationFactor:1\s+Configs:retention.ms=7200000", described), described
    assert len(re.findall(r"Leader: 1\s+Replicas: 1\s+Isr: 1", described)) == 3
    producer = Producer({"bootstrap.servers": server.kafka})
    producer.produce("example_topic", b"written")
    assert producer.flush(60) == 0
    topics_by_tree(old_tools, server, "--alter", "--topic", "example_topic", "--partitions", 5)
    assert eventually(lambda: partitions() == 5)
    consumer = Consumer({"bootstrap.servers": server.kafka, "group.id": "old", "auto.offset.reset": "earliest"})
    consumer.subscribe(["example_topic"])
    message = None
    deadline = time.monotonic() + 60
    while message is None and time.monotonic() < deadline:
        message = consumer.poll(1)
    assert message.value() == b"written"
    consumer.close()
    out = topics_by_tree(old_tools, server, "--delete", "--topic", "example_topic")
    assert "marked for deletion" in out
    assert eventually(lambda: partitions() == 0 and "example_topic" not in shell.run("ls /brokers/topics")[-1])
    assert eventually(lambda: shell.run("ls /admin/delete_topics")[-1] == "[]")


@ours
def test_old_tools_configure_live(server, old_tools):
    """kafka-configs of 2.3 changes a topic's configuration by the tree, and the node acts on it."""
    from confluent_kafka.admin import AdminClient, ConfigResource

    topics_by_tree(old_tools, server, "--create", "--topic", "tuned", "--partitions", 1, "--replication-factor", 1)
    outcome = old_tools.run("configs", "--zookeeper", server.address, "--alter", "--entity-type", "topics",
                            "--entity-name", "tuned", "--add-config", "retention.ms=4200000,segment.bytes=1048576")
    assert outcome.code == 0, outcome
    admin = AdminClient({"bootstrap.servers": server.kafka})

    def described(key):
        resource = ConfigResource(ConfigResource.Type.TOPIC, "tuned")
        return admin.describe_configs([resource])[resource].result(60)[key].value

    assert eventually(lambda: described("retention.ms") == "4200000")
    assert described("segment.bytes") == "1048576"
    outcome = old_tools.run("configs", "--zookeeper", server.address, "--alter", "--entity-type", "topics",
                            "--entity-name", "tuned", "--delete-config", "retention.ms")
    assert outcome.code == 0, outcome
    assert eventually(lambda: described("retention.ms") == "604800000")


@ours
def test_what_is_no_topic_creates_nothing(server, shell):
    """Nonsense under /brokers/topics stays a znode and is reported; the brokers' own znodes are not for clients."""
    shell.run("create /brokers/topics/nonsense not-json")
    assert shell.run("get /brokers/topics/nonsense") == ["not-json"]
    assert eventually(lambda: "/brokers/topics/nonsense" in server.diagnostics())
    for path in ("/brokers/ids/9", "/brokers/topics/t/partitions/0/state"):
        printed = shell.run(f"create {path} x")[-1]
        assert "Insufficient permission" in printed or "Node does not exist" in printed, (path, printed)
    for path in ("/controller", "/controller_epoch", "/brokers/ids/1"):
        assert "Insufficient permission" in shell.run(f"set {path} x")[-1]
        assert "Insufficient permission" in shell.run(f"delete {path}")[-1]
    shell.run("create /foreign")
    shell.run("create /foreign/controller free")
    assert shell.run("set /foreign/controller own") == []
    shell.run("delete /brokers/topics/nonsense")


@ours
def test_the_tree_is_kafkas(shell):
    """What a Kafka of ZooKeeper's time keeps in its tree is here, in its shapes."""
    broker = json.loads(shell.run("get /brokers/ids/1")[-1])
    assert broker["version"] == 5 and broker["endpoints"][0].startswith("PLAINTEXT://")
    assert broker["listener_security_protocol_map"] == {"PLAINTEXT": "PLAINTEXT"}
    controller = json.loads(shell.run("get /controller")[-1])
    assert controller["brokerid"] == 1 and controller["version"] >= 1
    assert len(json.loads(shell.run("get /cluster/id")[-1])["id"]) == 22
    assert int(shell.run("get /controller_epoch")[-1]) >= 1
    for path in ("/admin/delete_topics", "/brokers/seqid", "/config/changes", "/config/brokers", "/config/clients",
                 "/config/topics", "/config/users", "/isr_change_notification", "/latest_producer_id_block",
                 "/log_dir_event_notification", "/feature"):
        assert not any("does not exist" in line for line in shell.run(f"stat {path}")), path
