"""Fixtures: three real nodes that are one ensemble."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

from ensemble import running  # noqa: E402


@pytest.fixture
def ensemble(tmp_path):
    """Three nodes that have formed an ensemble."""
    with running(tmp_path) as nodes:
        yield nodes
