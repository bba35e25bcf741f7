"""A board that hears the others and is not heard by them."""

import time

from boards import Boards
from faults import mute
from kazoo.client import KazooClient, KazooState
from network import address
from node import eventually

SESSION_SECONDS = 4


def test_clients_of_a_board_that_nobody_hears(tmp_path):
    """It answers no pings of sessions that nobody else knows to live: its clients lose it before their sessions end."""
    boards = Boards(tmp_path)
    try:
        boards.start_all()
        unheard, other = boards.followers()
        lost_at = []
        client = KazooClient(hosts=f"{address(unheard)}:2181", timeout=SESSION_SECONDS)
        client.add_listener(lambda state: lost_at.append(time.monotonic()) if state == KazooState.SUSPENDED else None)
        client.start(60)
        client.create("/alive", b"", ephemeral=True)
        looker = KazooClient(hosts=f"{address(other)}:2181", timeout=60)
        looker.start(60)
        assert looker.exists("/alive")

        with mute(boards, unheard, None):
            assert eventually(lambda: not looker.exists("/alive"), 60), boards.describe([])
            ended_at = time.monotonic()
        assert lost_at and lost_at[0] < ended_at, boards.describe([])
        client.stop()
        looker.stop()
    finally:
        said = boards.end()
    assert "panicked" not in said, said
