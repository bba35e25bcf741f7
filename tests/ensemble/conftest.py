"""Fixtures: three real nodes that are one ensemble."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from ensemble import Ensemble  # noqa: E402


@pytest.fixture
def ensemble(tmp_path):
    """Three nodes that have formed an ensemble."""
    nodes = Ensemble(tmp_path)
    nodes.start_all()
    yield nodes
    said = nodes.end()
    assert "panicked" not in said, said
