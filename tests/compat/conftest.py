"""Fixtures: one node a module, and one a test for those who kill it."""

import pytest
from node import Node


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node that the tests of a module share; it must stop cleanly and have said nothing alarming."""
    shared = Node(tmp_path_factory.mktemp("node"))
    yield shared
    assert shared.stop() == 0, shared.diagnostics()
    assert "panicked" not in shared.diagnostics()
    assert "ERROR" not in shared.diagnostics(), shared.diagnostics()


@pytest.fixture
def own_node(tmp_path):
    """A node of the test's own."""
    own = Node(tmp_path)
    yield own
    if own.process.poll() is None:
        own.kill()
