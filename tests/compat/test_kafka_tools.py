"""Apache Kafka's own command-line tools, of 2.3 and of 4, against one node."""

import json
import pathlib
import re

import pytest
from java_tools import Tools
from node import Node


@pytest.fixture(scope="module", params=["2.3", "4"])
def tools(request, tmp_path_factory):
    """The tools of one version and a node that nobody else uses; it must stop cleanly."""
    node = Node(tmp_path_factory.mktemp("tools"), "group.initial.rebalance.delay.ms=100", "log.index.interval.bytes=256")
    tools = Tools(request.param, node.kafka)
    tools.node = node
    yield tools
    tools.close()
    assert node.stop() == 0, node.diagnostics()
    assert "panicked" not in node.diagnostics() and "ERROR" not in node.diagnostics(), node.diagnostics()


def create(tools, topic, partitions, *options):
    tools.ask("topics", "--create", "--topic", topic, "--partitions", partitions, "--replication-factor", 1, *options)
    return topic


def produce(tools, topic, lines, *options):
    tools.ask("console-producer", "--topic", topic, *options, text="".join(f"{line}\n" for line in lines))


def consume(tools, topic, count, *options):
    """The lines that the console consumer prints of so many messages from the beginning."""
    limits = ["--from-beginning", "--max-messages", count, "--timeout-ms", 40000]
    return tools.ask("console-consumer", "--topic", topic, *limits, *options).splitlines()


def test_topics(tools):
    """Create, list, describe, alter, delete, and the errors of a topic too many and of a broker too few."""
    out = tools.ask("topics", "--create", "--topic", "example_topic", "--partitions", 3, "--replication-factor", 1)
    assert tools.version == "2.3" or "Created topic example_topic." in out
    assert "example_topic" in tools.ask("topics", "--list").splitlines()
    described = tools.ask("topics", "--describe", "--topic", "example_topic")
    assert re.search(r"PartitionCount: ?3\s+ReplicationFactor: ?1", described), described
    assert len(re.findall(r"Leader: 1\s+Replicas: 1\s+Isr: 1", described)) == 3, described
    tools.ask("topics", "--alter", "--topic", "example_topic", "--partitions", 5)
    assert re.search(r"PartitionCount: ?5", tools.ask("topics", "--describe", "--topic", "example_topic"))
    again = tools.ask("topics", "--create", "--topic", "example_topic", "--partitions", 3, "--replication-factor", 1, code=1)
    assert "exists" in again, again
    refused = tools.ask("topics", "--create", "--topic", "copies", "--partitions", 1, "--replication-factor", 2, code=1)
    assert re.search("replication factor", refused, re.I), refused
    tools.ask("topics", "--alter", "--topic", "example_topic", "--partitions", 2, code=1)
    tools.ask("topics", "--delete", "--topic", "example_topic")
    assert "example_topic" not in tools.ask("topics", "--list").splitlines()
    assert tools.ask("topics", "--describe", "--unavailable-partitions").strip() == ""


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_console(tools, codec):
    """What the console producer sends with each codec the console consumer prints, keys included."""
    topic = create(tools, f"console-{codec}", 1)
    keys = ["--property", "parse.key=true", "--property", "key.separator=:"]
    produce(tools, topic, [f"key-{number}:value-{number}" for number in range(200)], "--compression-codec", codec, *keys)
    lines = consume(tools, topic, 200, "--property", "print.key=true")
    assert lines == [f"key-{number}\tvalue-{number}" for number in range(200)]


def rows(table):
    """The cells of a table of the tools, without its heading and empty lines."""
    return [line.split() for line in table.splitlines() if line.strip()][1:]


def test_consumer_groups(tools):
    """A group that the console consumer made is listed, described with its lag, reset in every way, and deleted."""
    topic = create(tools, "grouped", 1)
    produce(tools, topic, range(10))
    consume(tools, topic, 4, "--group", "lagging", "--consumer-property", "enable.auto.commit=true")
    assert "lagging" in tools.ask("consumer-groups", "--list").splitlines()
    lag = tools.ask("consumer-groups", "--describe", "--group", "lagging")
    row = next(line for line in rows(lag) if topic in line)
    assert row[row.index(topic) : row.index(topic) + 5] == [topic, "0", "4", "10", "6"], lag
    state = tools.ask("consumer-groups", "--describe", "--group", "lagging", "--state")
    assert "Empty" in state and tools.bootstrap in state, state
    tools.ask("consumer-groups", "--describe", "--group", "lagging", "--members", "--verbose")
    ways = {
        ("--to-earliest",): 0,
        ("--shift-by", 7): 7,
        ("--shift-by", -2): 5,
        ("--to-offset", 3): 3,
        ("--to-offset", 1000): 10,
        ("--to-datetime", "2020-01-01T00:00:00.000"): 0,
        ("--by-duration", "PT0S"): 10,
        ("--to-current",): 10,
        ("--to-latest",): 10,
    }
    for way, expected in ways.items():
        reset = tools.ask("consumer-groups", "--reset-offsets", "--group", "lagging", "--topic", topic, *way, "--execute")
        moved = next(line for line in rows(reset) if topic in line)
        assert moved[moved.index(topic) + 1 :] == ["0", str(expected)], f"{way}: {reset}"
    if tools.version != "2.3":
        tools.ask("consumer-groups", "--delete-offsets", "--group", "lagging", "--topic", topic)
        assert re.search(r"lagging\s+Classic", tools.ask("consumer-groups", "--list", "--type"))
        assert re.search(r"lagging\s+Empty", tools.ask("consumer-groups", "--list", "--state"))
    assert "successful" in tools.ask("consumer-groups", "--delete", "--group", "lagging")
    assert "lagging" not in tools.ask("consumer-groups", "--list").splitlines()
    gone = tools.ask("consumer-groups", "--delete", "--group", "lagging")
    assert "GroupIdNotFoundException" in gone or "GROUP_ID_NOT_FOUND" in gone, gone


def test_get_offsets(tools):
    """Ends, beginnings, and the first record after a time, of each partition."""
    topic = create(tools, "ends", 2)
    produce(tools, topic, range(20))
    ends = [int(line.split(":")[2]) for line in tools.ask("get-offsets", "--topic", topic, "--time", -1).splitlines()]
    assert len(ends) == 2 and sum(ends) == 20
    assert tools.ask("get-offsets", "--topic", topic, "--time", -2).split() == [f"{topic}:0:0", f"{topic}:1:0"]
    first = tools.ask("get-offsets", "--topic", topic, "--time", 1).split()
    assert first and all(line.endswith(":0") for line in first), first
    if tools.version != "2.3":
        latest = tools.ask("get-offsets", "--topic", topic, "--time", "max-timestamp").split()
        assert latest and all(line.startswith(f"{topic}:") for line in latest)
        assert tools.ask("get-offsets", "--topic", topic, "--time", "latest-tiered") == ""


def test_performance_tools(tools):
    """producer-perf-test sends all it was asked to, consumer-perf-test reads all of it, the latency tool ends."""
    topic = create(tools, "perf", 3)
    address = f"bootstrap.servers={tools.bootstrap}"
    load = ["--topic", topic, "--num-records", 20000, "--record-size", 100, "--throughput", -1]
    sent = tools.run("producer-perf-test", *load, "--producer-props", address, "acks=all", "compression.type=lz4")
    assert sent.code == 0 and "20000 records sent" in sent.out, sent
    read = tools.ask("consumer-perf-test", "--topic", topic, "--messages", 20000, "--timeout", 40000)
    assert int(read.splitlines()[1].split(",")[4]) == 20000, read
    latency = tools.run("end-to-end-latency", tools.bootstrap, create(tools, "latency", 1), 20, "all", 100)
    assert latency.code == 0 and "99th" in latency.out, latency


def test_verifiable(tools):
    """The verifiable producer's acknowledgements, and what the verifiable consumer read and committed."""
    topic = create(tools, "verified", 1)
    lines = [json.loads(line) for line in tools.ask("verifiable-producer", "--topic", topic, "--max-messages", 100).splitlines()]
    acknowledged = [line["offset"] for line in lines if line["name"] == "producer_send_success"]
    assert acknowledged == list(range(100))
    assert lines[-1]["acked"] == 100
    member = ["--group-instance-id", "verifier"] if tools.version == "2.3" else []
    limits = ["--max-messages", 100, "--reset-policy", "earliest", "--group-id", "verifiers"]
    lines = tools.ask("verifiable-consumer", "--topic", topic, *limits, *member).splitlines()
    lines = [json.loads(line) for line in lines if line.startswith("{")]
    assert sum(line["count"] for line in lines if line["name"] == "records_consumed") == 100
    committed = [line for line in lines if line["name"] == "offsets_committed"][-1]
    assert committed["success"] and committed["offsets"][0]["offset"] == 100


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_dump_log(tools, codec):
    """Our segments, offset indexes and time indexes are Kafka's: its own reader finds every record and no mismatch."""
    topic = create(tools, f"dumped-{codec}", 1)
    load = ["--topic", topic, "--num-records", 2000, "--record-size", 100, "--throughput", -1]
    options = [f"bootstrap.servers={tools.bootstrap}", f"compression.type={codec}", "batch.size=2000"]
    assert tools.run("producer-perf-test", *load, "--producer-props", *options).code == 0
    segment = f"{tools.node.directory}/topics/{topic}-0/00000000000000000000"
    log = tools.run("dump-log", "--files", f"{segment}.log", "--deep-iteration", "--print-data-log")
    assert log.code == 0 and "isvalid: false" not in log.out, log
    assert set(re.findall(r"compresscodec: (\w+)", log.out)) <= {codec, codec.upper()}, log.out[:500]
    records = re.findall(r"^\W*offset: (\d+) CreateTime", log.out, re.M)
    assert [int(record) for record in records] == list(range(2000))
    for index in ("index", "timeindex"):
        dumped = tools.run("dump-log", "--files", f"{segment}.{index}")
        assert dumped.code == 0 and not re.search("mismatch|invalid|out of order", dumped.out + dumped.err, re.I), dumped
        assert "offset: " in dumped.out, dumped
        assert "passed sanity check" in tools.run("dump-log", "--files", f"{segment}.{index}", "--index-sanity-check").out


def test_dump_offsets(tools):
    """What a group committed can be read out of __consumer_offsets by Kafka's own decoder."""
    topic = create(tools, "decoded", 1)
    produce(tools, topic, range(3))
    consume(tools, topic, 3, "--group", "decoders")
    named = set()
    for segment in pathlib.Path(tools.node.directory, "topics").glob("__consumer_offsets-*/*.log"):
        if segment.stat().st_size:
            dumped = tools.run("dump-log", "--files", segment, "--offsets-decoder")
            assert dumped.code == 0 and "isvalid: false" not in dumped.out, dumped
            named.update(line for line in dumped.out.splitlines() if "decoders" in line and topic in line and "offset" in line)
    assert any(re.search(r'payload: (3$|.*"offset":3,)', line) for line in named), named
    listed = tools.ask("topics", "--describe", "--exclude-internal").split()
    assert "__consumer_offsets" not in listed


def test_broker_api_versions(tools):
    """One broker answers, and every API that it names is usable by this client or unknown to it."""
    out = tools.ask("broker-api-versions")
    assert out.startswith(tools.bootstrap) and "(id: 1 rack: null" in out, out
    assert re.search(r"Produce\(0\): 0 to 13 \[usable: \d+\]", out), out
    assert "[unusable" not in out, out


def configs(tools, *arguments, code=0):
    outcome = tools.run("configs", "--bootstrap-server", tools.bootstrap, *arguments)
    assert outcome.code == code, f"{arguments}: {outcome}"
    return outcome.out + outcome.err


def test_broker_configs(tools):
    """A broker's configuration is altered for one and for all, in force and described; nonsense is refused."""
    one = ["--entity-type", "brokers", "--entity-name", 1]
    every = ["--entity-type", "brokers", "--entity-default"]
    configs(tools, "--alter", *every, "--add-config", "log.retention.ms=7000000")
    configs(tools, "--alter", *one, "--add-config", "log.retention.ms=8000000")
    assert "log.retention.ms=8000000" in configs(tools, "--describe", *one)
    assert "log.retention.ms=7000000" in configs(tools, "--describe", *every)
    configs(tools, "--alter", *one, "--delete-config", "log.retention.ms")
    assert "log.retention.ms=8000000" not in configs(tools, "--describe", *one)
    configs(tools, "--alter", *every, "--delete-config", "log.retention.ms")
    assert "Cannot update these configs dynamically" in configs(tools, "--alter", *one, "--add-config", "broker.id=7", code=1)


def test_topic_configs(tools):
    """A topic's configuration is described with its sources, altered and reset; nonsense is refused in Kafka's words."""
    if tools.version == "2.3":
        pytest.skip("2.3 alters topics through ZooKeeper alone")
    topic = create(tools, "configured", 1, "--config", "retention.ms=3600000")
    its = ["--entity-type", "topics", "--entity-name", topic]
    assert "retention.ms=3600000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=3600000" in configs(tools, "--describe", *its)
    configs(tools, "--alter", *its, "--add-config", "retention.ms=7200000,cleanup.policy=[compact,delete]")
    described = configs(tools, "--describe", *its)
    assert "retention.ms=7200000" in described and "cleanup.policy=compact,delete" in described, described
    configs(tools, "--alter", *its, "--delete-config", "retention.ms")
    assert "retention.ms" not in configs(tools, "--describe", *its)
    assert "retention.ms=604800000" in configs(tools, "--describe", *its, "--all")
    refused = configs(tools, "--alter", *its, "--add-config", "retention.ms=nonsense", code=1)
    assert "Invalid value nonsense for configuration retention.ms: Not a number of type LONG" in refused
    configs(tools, "--alter", *its, "--add-config", "nobody.knows=1", code=1)


def test_delete_records(tools, tmp_path):
    """Records below an offset are gone: the beginning moves, what is left is read, and all of it can go."""
    topic = create(tools, "shortened", 1)
    produce(tools, topic, range(10))
    for offset, left in ((4, 4), (-1, 10)):
        wanted = tmp_path / "offsets.json"
        wanted.write_text(json.dumps({"partitions": [{"topic": topic, "partition": 0, "offset": offset}], "version": 1}))
        out = tools.ask("delete-records", "--offset-json-file", wanted)
        assert re.search(rf"{topic}-0\s+low_watermark: {left}", out), out
        assert tools.ask("get-offsets", "--topic", topic, "--time", -2).strip() == f"{topic}:0:{left}"
        if left == 4:
            assert consume(tools, topic, 6) == [str(number) for number in range(4, 10)]


def test_log_dirs(tools):
    """The one log directory with the size of every partition."""
    topic = create(tools, "measured", 2)
    produce(tools, topic, ["x" * 1000] * 10)
    out = tools.ask("log-dirs", "--describe", "--topic-list", topic)
    (broker,) = json.loads(out.splitlines()[-1])["brokers"]
    (directory,) = broker["logDirs"]
    assert broker["broker"] == 1 and directory["error"] is None, out
    assert sorted(one["partition"] for one in directory["partitions"]) == [f"{topic}-0", f"{topic}-1"]
    assert sum(one["size"] for one in directory["partitions"]) > 10_000


def test_acls(tools):
    """There is no authorizer, and its tool is told so in the words that dashboards wait for."""
    for arguments in (["--list"], ["--add", "--allow-principal", "User:a", "--operation", "Read", "--topic", "x"]):
        outcome = tools.run("acls", "--bootstrap-server", tools.bootstrap, *arguments)
        assert outcome.code == 1 and "SecurityDisabledException" in outcome.out + outcome.err, outcome


def test_client_compatibility(tools):
    """Kafka's own test of what a client finds in a broker."""
    expected = ["offsets-for-times-supported", "cluster-id-supported", "expect-record-too-large-exception"]
    expected += ["create-topics-supported", "describe-acls-supported"]
    if tools.version != "2.3":
        expected += ["describe-configs-supported", "idempotent-producer-supported"]
    arguments = [word for name in expected for word in (f"--{name}", str("too-large" not in name))]
    out = tools.ask("compatibility", "--topic", create(tools, "compatible", 1), "--num-cluster-nodes", 1, *arguments)
    assert "FAILED" not in out, out


@pytest.fixture
def new_tools(tools):
    """The tools that 2.3 did not have, or not without ZooKeeper."""
    if tools.version == "2.3":
        pytest.skip("2.3 has no such tool that asks a broker")
    return tools


def test_leaders(new_tools):
    """Electing preferred leaders is not needed, and said so."""
    create(new_tools, "led", 2)
    out = new_tools.ask("leader-election", "--election-type", "preferred", "--all-topic-partitions")
    assert "failed" not in out.lower() and "error" not in out.lower(), out
    one = ["--topic", "led", "--partition", 0]
    out = new_tools.ask("leader-election", "--election-type", "preferred", *one)
    assert "Valid replica already elected for partitions led-0" in out, out


def test_reassignment(new_tools, tmp_path):
    """A plan for the one broker is made, carried out, verified, and nothing is left under way."""
    topic = create(new_tools, "moved", 2)
    topics, plan = tmp_path / "topics.json", tmp_path / "plan.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": topic}]}))
    made = new_tools.ask("reassign-partitions", "--generate", "--topics-to-move-json-file", topics, "--broker-list", 1)
    plan.write_text(made.splitlines()[-1])
    assert [one["replicas"] for one in json.loads(plan.read_text())["partitions"]] == [[1], [1]]
    started = new_tools.ask("reassign-partitions", "--execute", "--reassignment-json-file", plan)
    assert "Successfully started partition reassignments" in started, started
    verified = new_tools.ask("reassign-partitions", "--verify", "--reassignment-json-file", plan)
    assert verified.count("is completed") == 2, verified
    assert "No partition reassignments found." in new_tools.ask("reassign-partitions", "--list")
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "replicas": [1, 2]}]}))
    new_tools.ask("reassign-partitions", "--execute", "--reassignment-json-file", plan, code=1)


def test_cluster(new_tools):
    """The cluster's id, its one broker, its quorum of one voter who leads."""
    assert re.search(r"Cluster ID: \S{22}", new_tools.ask("cluster", "cluster-id"))
    assert re.search(r"1\s+127.0.0.1\s+\d+\s+null\s+unfenced\s+broker", new_tools.ask("cluster", "list-endpoints"))
    status = new_tools.ask("metadata-quorum", "describe", "--status")
    assert re.search(r"LeaderId:\s+1\n", status) and re.search(r'CurrentVoters:\s+\[\{"id": 1', status), status
    assert re.search(r"1\s+\S+\s+\d+\s+0\s.*Leader", new_tools.ask("metadata-quorum", "describe", "--replication"))
    new_tools.ask("features", "describe")
    new_tools.ask("client-metrics", "--list")


def test_producers_and_transactions(new_tools):
    """No transactions; the idempotent producer of a partition with its last sequence; nothing hangs."""
    topic = create(new_tools, "sequenced", 1)
    produce(new_tools, topic, range(7))
    described = rows(new_tools.ask("transactions", "describe-producers", "--topic", topic, "--partition", 0))
    assert [(row[1], row[3]) for row in described] == [("0", "6")], described
    assert rows(new_tools.ask("transactions", "list")) == []
    assert rows(new_tools.ask("transactions", "find-hanging", "--broker-id", 1)) == []


def test_groups(new_tools):
    """Every group with its type and protocol."""
    topic = create(new_tools, "listed", 1)
    produce(new_tools, topic, ["one"])
    consume(new_tools, topic, 1, "--group", "listed-group")
    assert re.search(r"listed-group\s+Classic\s+consumer", new_tools.ask("groups", "--list"))
