"""Apache Kafka's own command-line tools, of 2.3 and of 4, against one node."""

import json
import re

import pytest
from java_tools import Tools
from node import Node


@pytest.fixture(scope="module", params=["2.3", "4"])
def tools(request, tmp_path_factory):
    """The tools of one version and a node that nobody else uses; it must stop cleanly."""
    node = Node(tmp_path_factory.mktemp("tools"), "group.initial.rebalance.delay.ms=100")
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
    limits = ["--from-beginning", "--max-messages", count, "--timeout-ms", 20000]
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
