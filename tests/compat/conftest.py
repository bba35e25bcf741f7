"""Fixtures: one node a module, and one a test for those who kill it. A module that defines SETTINGS has them in force."""

import pytest
from node import Node


def settings(request):
    return getattr(request.module, "SETTINGS", [])


@pytest.fixture(scope="module")
def node(request, tmp_path_factory):
    """A node that the tests of a module share; it must stop cleanly and have said nothing alarming."""
    shared = Node(tmp_path_factory.mktemp("node"), *settings(request))
    yield shared
    assert shared.stop() == 0, shared.diagnostics()
    assert "panicked" not in shared.diagnostics()
    assert "ERROR" not in shared.diagnostics(), shared.diagnostics()


@pytest.fixture
def own_node(request, tmp_path):
    """A node of the test's own."""
    own = Node(tmp_path, *settings(request))
    yield own
    if own.process.poll() is None:
        own.kill()
