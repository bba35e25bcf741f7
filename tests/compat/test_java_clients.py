"""Kafka's Java client 4: its producer, its consumer by both group protocols, its admin client; see java/Clients.java."""

import pytest
from java_tools import Tools
from node import Node


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """One JVM and one node for all steps; the node must stop cleanly and have said nothing alarming."""
    settings = ["group.initial.rebalance.delay.ms=100", "group.consumer.heartbeat.interval.ms=1000"]
    node = Node(tmp_path_factory.mktemp("java"), *settings)
    tools = Tools("4", node.kafka)
    yield tools
    tools.close()
    assert node.stop() == 0, node.diagnostics()
    assert "panicked" not in node.diagnostics() and "ERROR" not in node.diagnostics(), node.diagnostics()


@pytest.mark.parametrize("step", ["producers", "classic", "consumer", "migration", "patterns", "admin"])
def test_step(tools, step):
    """The step ends without an exception: what it expects is written beside what it asks."""
    outcome = tools.run("clients", tools.bootstrap, step)
    assert outcome.code == 0, outcome
