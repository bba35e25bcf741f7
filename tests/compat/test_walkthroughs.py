"""The steps of known tutorials that need one broker, typed with Kafka's own tools of 2.3 and of 4."""

import json
import re
import subprocess

import pytest
from java_tools import Tools
from node import BINARY, Node, eventually

# What a compose file of the tutorials says of its first Kafka container.
ENVIRONMENT = """\
KAFKA_BROKER_ID=1
KAFKA_CREATE_TOPICS=FINANCE-STOCK-TRADING-TEST:2:1
KAFKA_AUTO_CREATE_TOPICS_ENABLE=false
"""


@pytest.fixture(scope="module", params=["2.3", "4"])
def tools(request, tmp_path_factory):
    """A node that was started from a container's environment file, and the tools of one version."""
    directory = tmp_path_factory.mktemp("walk")
    (directory / "kafka-1.env").write_text(ENVIRONMENT)
    node = Node(directory, "group.initial.rebalance.delay.ms=100", files=[directory / "kafka-1.env"])
    tools = Tools(request.param, node.kafka)
    tools.node = node
    yield tools
    tools.close()
    assert node.stop() == 0, node.diagnostics()


def test_configured_topic_exists(tools):
    """Step 12: a topic of KAFKA_CREATE_TOPICS exists after start."""
    described = lambda: tools.ask("topics", "--describe")
    assert eventually(lambda: re.search(r"FINANCE-STOCK-TRADING-TEST\t.*PartitionCount: ?2\s+ReplicationFactor: ?1\b", described())), described()


def test_create_produce_consume(tools):
    """Steps 4 and 5: a topic of three partitions; what the console producer is given, the console consumer prints."""
    tools.ask("topics", "--create", "--topic", "example_topic", "--partitions", 3, "--replication-factor", 1)
    lines = [f"line {number}" for number in range(30)]
    tools.ask("console-producer", "--topic", "example_topic", text="".join(f"{line}\n" for line in lines))
    limits = ["--from-beginning", "--max-messages", 30, "--timeout-ms", 40000]
    got = tools.ask("console-consumer", "--topic", "example_topic", "--group", "readers", *limits)
    assert sorted(got.splitlines()) == sorted(lines)


def test_monitoring(tools):
    """Step 8: every broker, the controller, every topic with partitions, copies and size, every group's lag."""
    words = ["kcat", "-b", tools.bootstrap, "-L", "-J", "-m", "60"]
    metadata = json.loads(subprocess.run(words, capture_output=True, text=True).stdout)
    assert [broker["id"] for broker in metadata["brokers"]] == [1] and metadata["controllerid"] == 1, metadata
    topics = {topic["topic"]: topic["partitions"] for topic in metadata["topics"]}
    assert {len(topics["example_topic"]), len(topics["FINANCE-STOCK-TRADING-TEST"])} == {3, 2}
    assert all(len(partition["isrs"]) == 1 for partition in topics["example_topic"])
    directories = json.loads(tools.ask("log-dirs", "--describe").splitlines()[-1])["brokers"][0]["logDirs"]
    sizes = {one["partition"]: one["size"] for directory in directories for one in directory["partitions"]}
    assert sum(sizes[f"example_topic-{index}"] for index in range(3)) > 0 and sizes["FINANCE-STOCK-TRADING-TEST-0"] == 0
    tools.ask("console-producer", "--topic", "example_topic", text="six\nmore\nlines\nthat\nnobody\nread\n")
    lag = [line.split() for line in tools.ask("consumer-groups", "--describe", "--group", "readers").splitlines()]
    heading = next(line for line in lag if "LAG" in line)
    lags = [int(line[heading.index("LAG")]) for line in lag if "example_topic" in line]
    assert len(lags) == 3 and sum(lags) == 6, lag
    shown = subprocess.run(
        [BINARY, "status", "--bootstrap", tools.bootstrap, "--http", tools.node.http], capture_output=True, text=True
    )
    assert shown.returncode == 0, shown
    assert re.search(r"example_topic\s+3\s+1\b", shown.stdout) and re.search(r"readers\b.*\b6\b", shown.stdout), shown.stdout
