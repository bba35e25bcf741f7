"""What the ZooKeeper door has acknowledged is there after a kill, sessions included; the files stay bounded."""

import os
import random
import threading

import pytest
import zk_server
import zk_wire as wire
from node import eventually
from zk_wire import Closed, Connection, SessionExpired, buffer, i32, string

KILLS = int(os.environ.get("TERN_KILLS", "5"))


def create(path, data, mode=wire.PERSISTENT):
    return string(path) + buffer(data) + wire.acls(wire.OPEN_ACL) + i32(mode)


def write_until_killed(address, name, acknowledged):
    """Creates znodes, a few in flight, and notes those that were answered for."""
    try:
        connection = Connection(address)
        number = 0
        while True:
            paths = [f"/{name}-{number + place}" for place in range(8)]
            number += 8
            xids = [connection.post(wire.CREATE, create(path, path.encode())) for path in paths]
            for path, xid in zip(paths, xids):
                assert connection.receive(xid)[1] == 0
                acknowledged.append(path)
    except (Closed, OSError):
        pass


@pytest.mark.parametrize("disk", [None, "discard"])
def test_kills_lose_nothing(tmp_path, disk):
    """Killed at random moments, on the real disk and on one that forgets what was not synced."""
    # A tree large enough for everything that is written between the kills.
    settings = [] if zk_server.IS_REFERENCE else ["memory.budget=512MiB", "memory.tree.bytes=256MiB"]
    settings += [] if disk is None or zk_server.IS_REFERENCE else [f"tern.test.disk={disk}"]
    server = zk_server.start(tmp_path, *settings)
    chance = random.Random(1)
    known = []
    for kill in range(KILLS):
        lists = [[] for _ in range(3)]
        threads = [
            threading.Thread(target=write_until_killed, args=(server.address, f"k{kill}-{place}", acknowledged))
            for place, acknowledged in enumerate(lists)
        ]
        [thread.start() for thread in threads]
        threading.Event().wait(0.1 + chance.random() / 2)
        server.kill()
        [thread.join(60) for thread in threads]
        server.start()
        known += [path for acknowledged in lists for path in acknowledged]
        reader = Connection(server.address)
        xids = [(path, reader.post(wire.GET_DATA, string(path) + b"\0")) for path in known[-2000:]]
        for path, xid in xids:
            _, error, body = reader.receive(xid)
            assert error == 0, f"{path} was acknowledged and is gone after kill {kill}"
            assert body.buffer() == path.encode()
        reader.close_session()
    assert len(known) > 20 * KILLS
    assert server.stop() == 0


def test_sessions_survive_a_restart(tmp_path):
    """A session and its ephemerals outlive the server's process; the session is taken up again, or expires."""
    server = zk_server.start(tmp_path)
    kept, lost = Connection(server.address, 30_000), Connection(server.address, 8000)
    assert kept.call(wire.CREATE, create("/kept", b"", wire.EPHEMERAL))[1] == 0
    assert lost.call(wire.CREATE, create("/lost", b"", wire.EPHEMERAL))[1] == 0
    server.kill()
    server.start()
    with pytest.raises(SessionExpired):
        Connection(server.address, 30_000, kept.session, b"wrong password..")
    again = Connection(server.address, 30_000, kept.session, kept.password, kept.last_zxid)
    assert again.session == kept.session
    assert again.call(wire.EXISTS, string("/lost") + b"\0")[1] == 0

    def is_lost():
        return again.call(wire.EXISTS, string("/lost") + b"\0")[1] == -101

    assert eventually(is_lost)
    assert again.call(wire.EXISTS, string("/kept") + b"\0")[1] == 0
    again.close_session()
    assert server.stop() == 0


def size_of(directory):
    try:
        return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(directory) for name in names)
    except FileNotFoundError:  # one was replaced between two looks
        return float("inf")


@pytest.mark.skipif(zk_server.IS_REFERENCE, reason="ZooKeeper's log grows until it is purged")
def test_files_stay_bounded(tmp_path):
    """A tree of bounded size keeps bounded files, however often it is rewritten, and a restart reads them."""
    server = zk_server.start(tmp_path)
    connection = Connection(server.address)
    assert connection.call(wire.CREATE, create("/big", b""))[1] == 0
    for number in range(20):
        assert connection.call(wire.CREATE, create(f"/big/{number}", bytes(1000)))[1] == 0
    for round_ in range(40):
        data = bytes([round_]) * 20_000
        xids = [connection.post(wire.SET_DATA, string(f"/big/{number}") + buffer(data) + i32(-1)) for number in range(20)]
        assert all(connection.receive(xid)[1] == 0 for xid in xids)
    # 16 MB were written; the tree has 0.4 MB, and the log may have grown to 4 MiB since its snapshot.
    assert eventually(lambda: size_of(f"{tmp_path}/coordinator") < 12 << 20), size_of(f"{tmp_path}/coordinator")
    connection.close_session()
    assert server.stop() == 0
    server.start()
    reader = Connection(server.address)
    _, error, body = reader.call(wire.GET_DATA, string("/big/7") + b"\0")
    assert error == 0 and body.buffer() == bytes([39]) * 20_000
    reader.close_session()
    assert server.stop() == 0
