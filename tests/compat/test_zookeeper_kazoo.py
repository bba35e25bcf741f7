"""kazoo's recipes and everyday calls against the ZooKeeper door."""

import threading
import time

import pytest
import zk_server
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    BadVersionError,
    LockTimeout,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
)
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.lease import MultiNonBlockingLease
from kazoo.recipe.partitioner import PartitionState
from kazoo.recipe.watchers import PatientChildrenWatch
from kazoo.retry import KazooRetry
from kazoo.security import make_acl, make_digest_acl
from node import eventually
from zk_wire import CREATE, EPHEMERAL, OPEN_ACL, Closed, Connection, SessionExpired, acls, buffer, i32, string


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    shared = zk_server.start(tmp_path_factory.mktemp("zookeeper"))
    yield shared
    assert shared.stop() == 0


@pytest.fixture
def connect(server):
    """Makes clients that are stopped at the end."""
    made = []

    def make(**arguments):
        client = KazooClient(server.address, timeout=30, **arguments)
        client.start(60)
        made.append(client)
        return client

    yield make
    for client in made:
        client.stop()
        client.close()


def in_threads(*functions):
    """Runs all at once; what one raises is raised here."""
    failures = []

    def guard(function):
        try:
            function()
        except BaseException as failure:  # noqa: BLE001 - it is raised again below
            failures.append(failure)

    threads = [threading.Thread(target=guard, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if failures:
        raise failures[0]


def test_basics(connect):
    """Create, read, write, versions, children, deletion, and their errors."""
    one = connect()
    assert one.create("/basics/deep", b"1", makepath=True) == "/basics/deep"
    with pytest.raises(NodeExistsError):
        one.create("/basics/deep")
    with pytest.raises(NoNodeError):
        one.get("/basics/nothing")
    data, stat = one.get("/basics/deep")
    assert (data, stat.version, stat.dataLength, stat.numChildren) == (b"1", 0, 1, 0)
    assert one.set("/basics/deep", b"22", version=0).version == 1
    with pytest.raises(BadVersionError):
        one.set("/basics/deep", b"3", version=0)
    path, stat = one.create("/basics/s-", b"", sequence=True, include_data=True)
    assert path == "/basics/s-0000000001" and stat.czxid == stat.mzxid
    assert one.create("/basics/ttl", b"") and one.exists("/basics/ttl").ephemeralOwner == 0
    assert sorted(one.get_children("/basics")) == ["deep", "s-0000000001", "ttl"]
    with pytest.raises(NotEmptyError):
        one.delete("/basics")
    one.delete("/basics", recursive=True)
    assert one.exists("/basics") is None
    assert one.sync("/") == "/"
    assert one.server_version()[:2] == (3, 8)


def test_chroot(connect):
    """A client in a chroot sees only what is below it."""
    root = connect()
    root.ensure_path("/chroots/one")
    inside = KazooClient(f"{root.hosts[0][0]}:{root.hosts[0][1]}/chroots/one")
    inside.start(60)
    try:
        inside.create("/a", b"in")
        assert root.get("/chroots/one/a")[0] == b"in"
        assert inside.get_children("/") == ["a"]
    finally:
        inside.stop()
        inside.close()


def test_ephemerals_go_with_the_session(connect):
    """An ephemeral is its session's, and others see it go at once when the session closes."""
    owner, other = connect(), connect()
    owner.create("/mine", ephemeral=True)
    assert other.exists("/mine").owner_session_id == owner.client_id[0]
    gone = threading.Event()
    assert other.exists("/mine", watch=lambda event: gone.set())
    owner.stop()
    assert gone.wait(60) and other.exists("/mine") is None


def test_expiry(server, connect):
    """A client that falls silent loses its session and its ephemerals, not before its timeout."""
    other = connect()
    silent = Connection(server.address, timeout_ms=4000)
    began = time.monotonic()
    body = string("/silent") + buffer(b"") + acls(OPEN_ACL) + i32(EPHEMERAL)
    assert silent.call(CREATE, body)[1] == 0
    assert silent.timeout_ms == 4000
    assert other.exists("/silent")
    assert eventually(lambda: other.exists("/silent") is None)
    assert 3.9 <= time.monotonic() - began < 40
    with pytest.raises(Closed):
        silent.ping()
    with pytest.raises(SessionExpired):
        Connection(server.address, 4000, silent.session, silent.password)


def test_reconnect_keeps_the_session(connect):
    """A broken socket is not the end: the same session, its ephemerals and watches come back."""
    client, other = connect(), connect()
    client.create("/kept", ephemeral=True)
    session = client.client_id[0]
    states = []
    client.add_listener(states.append)
    seen = []
    client.DataWatch("/watched", lambda data, stat: seen.append(data))
    client._connection._socket.shutdown(2)
    assert eventually(lambda: KazooState.CONNECTED in states) and KazooState.LOST not in states
    assert client.client_id[0] == session and client.exists("/kept").owner_session_id == session
    other.create("/watched", b"new")
    assert eventually(lambda: seen and seen[-1] == b"new")


def test_acl(connect):
    """Digest, ip and auth ACLs are enforced; what is not readable is not read."""
    owner, stranger = connect(), connect()
    owner.add_auth("digest", "ann:secret")
    owner.create("/secret", b"s", acl=[make_digest_acl("ann", "secret", all=True)])
    for forbidden in (
        lambda: stranger.get("/secret"),
        lambda: stranger.set("/secret", b"x"),
        lambda: stranger.create("/secret/child"),
        lambda: stranger.set_acls("/secret", [make_acl("world", "anyone", all=True)]),
    ):
        with pytest.raises(NoAuthError):
            forbidden()
    assert owner.get("/secret")[0] == b"s"
    owner.set_acls("/secret", [make_acl("auth", "", all=True), make_acl("world", "anyone", read=True)])
    acls, stat = owner.get_acls("/secret")
    assert {acl.id.scheme for acl in acls} == {"digest", "world"} and stat.aversion == 1
    assert stranger.get("/secret")[0] == b"s"
    owner.set_acls("/secret", [make_acl("ip", "127.0.0.1/8", all=True)])
    stranger.set("/secret", b"by address")


def test_lock(connect):
    """Lock: one at a time, in the order of asking; contenders are listed; a timeout is a timeout."""
    clients = [connect() for _ in range(3)]
    inside, most, order = [], [], []

    def work(client, name):
        for _ in range(4):
            with client.Lock("/lock", name):
                inside.append(name)
                most.append(len(inside))
                order.append(name)
                time.sleep(0.01)
                inside.remove(name)

    in_threads(*(lambda c=client, n=f"c{i}": work(c, n) for i, client in enumerate(clients)))
    assert max(most) == 1 and len(order) == 12
    held = clients[0].Lock("/lock", "holder")
    held.acquire()
    with pytest.raises(LockTimeout):
        clients[1].Lock("/lock", "late").acquire(timeout=0.3)
    assert held.contenders() == ["holder"]
    held.release()


def test_lock_is_freed_by_a_dying_client(connect):
    """The lock of a client whose session ends goes to the next."""
    first, second = connect(), connect()
    assert first.Lock("/lock-dying", "first").acquire()
    waiter = second.Lock("/lock-dying", "second")
    got = threading.Event()
    thread = threading.Thread(target=lambda: waiter.acquire(timeout=60) and got.set())
    thread.start()
    assert not got.wait(0.3)
    first.stop()
    assert got.wait(60)
    thread.join()
    waiter.release()


def test_read_write_lock(connect):
    """Readers share, a writer excludes."""
    one, two, three = connect(), connect(), connect()
    read_one, read_two = one.ReadLock("/rw"), two.ReadLock("/rw")
    assert read_one.acquire() and read_two.acquire(timeout=60)
    write = three.WriteLock("/rw")
    with pytest.raises(LockTimeout):
        write.acquire(timeout=0.3)
    read_one.release()
    read_two.release()
    assert write.acquire(timeout=60)
    with pytest.raises(LockTimeout):
        one.ReadLock("/rw").acquire(timeout=0.3)
    write.release()


def test_semaphore(connect):
    """No more leases than the semaphore has."""
    clients = [connect() for _ in range(3)]
    semaphores = [client.Semaphore("/semaphore", max_leases=2) for client in clients]
    assert semaphores[0].acquire() and semaphores[1].acquire()
    with pytest.raises(LockTimeout):
        semaphores[2].acquire(timeout=0.3)
    assert len(semaphores[0].lease_holders()) == 2
    semaphores[0].release()
    assert semaphores[2].acquire(timeout=60)
    semaphores[1].release()
    semaphores[2].release()


def test_election(connect):
    """One leads; when its session ends the next one does."""
    first, second = connect(), connect()
    led, may_end = [], threading.Event()

    def lead(name):
        led.append(name)
        if name == "first":
            may_end.wait(120)

    threads = []
    for client, name in ((first, "first"), (second, "second")):
        thread = threading.Thread(target=lambda c=client, n=name: c.Election("/election", n).run(lead, n))
        thread.start()
        threads.append(thread)
        assert eventually(lambda n=name: n in led or led == ["first"])
    assert eventually(lambda: first.Election("/election").contenders() == ["first", "second"])
    assert led == ["first"]
    may_end.set()
    for thread in threads:
        thread.join(60)
    assert led == ["first", "second"]


def test_barrier(connect):
    """Everybody waits until the barrier is gone."""
    one, two = connect(), connect()
    barrier = one.Barrier("/barrier")
    barrier.create()
    assert two.Barrier("/barrier").wait(0.2) is False
    threading.Timer(0.2, barrier.remove).start()
    assert two.Barrier("/barrier").wait(60)


def test_double_barrier(connect):
    """All enter together and leave together."""
    clients = [connect() for _ in range(3)]
    entered, left = [], []

    def work(client, number):
        barrier = client.DoubleBarrier("/double-barrier", 3, f"n{number}")
        time.sleep(0.1 * number)
        barrier.enter()
        entered.append(number)
        time.sleep(0.1 * number)
        assert len(entered) > 0
        barrier.leave()
        left.append(len(entered))

    in_threads(*(lambda c=client, n=i: work(c, n) for i, client in enumerate(clients)))
    assert sorted(entered) == [0, 1, 2] and left == [3, 3, 3]


def test_queue(connect):
    """Queue: priority, then order; LockingQueue: an entry is consumed once."""
    one, two = connect(), connect()
    queue = one.Queue("/queue")
    queue.put(b"b")
    queue.put(b"c")
    queue.put(b"a", priority=1)
    assert len(two.Queue("/queue")) == 3
    assert [two.Queue("/queue").get() for _ in range(4)] == [b"a", b"b", b"c", None]
    for value in (b"1", b"2", b"3", b"4"):
        one.LockingQueue("/locking-queue").put(value)
    taken = []

    def take(client):
        mine = client.LockingQueue("/locking-queue")
        for _ in range(2):
            taken.append(mine.get(60))
            assert mine.consume()

    in_threads(lambda: take(one), lambda: take(two))
    assert sorted(taken) == [b"1", b"2", b"3", b"4"]


def test_counter(connect):
    """Increments of several clients are all counted."""
    clients = [connect() for _ in range(3)]

    def count(client):
        counter = client.Counter("/counter")
        for _ in range(10):
            counter += 2

    patient = KazooRetry(max_tries=-1)
    in_threads(*(lambda c=client: patient(count, c) for client in clients))
    assert clients[0].Counter("/counter").value == 60


def test_party(connect):
    """Members are those who joined; they go with their sessions."""
    one, two = connect(), connect()
    first, second = one.Party("/party", "one"), two.Party("/party", "two")
    first.join()
    second.join()
    assert set(first) == {"one", "two"} and len(second) == 2
    two.stop()
    assert eventually(lambda: set(first) == {"one"})
    shallow = one.ShallowParty("/shallow", "s1")
    shallow.join()
    assert list(shallow) == ["s1"]
    shallow.leave()
    assert len(shallow) == 0


def test_watchers(connect):
    """DataWatch, ChildrenWatch and PatientChildrenWatch see every state they must."""
    one, two = connect(), connect()
    data, children = [], []
    one.DataWatch("/watches", lambda value, stat: data.append(value))
    two.create("/watches", b"0")
    assert eventually(lambda: data[-1] == b"0")
    one.ChildrenWatch("/watches", lambda names: children.append(sorted(names)))
    for number in range(5):
        two.set("/watches", str(number + 1).encode())
        two.create(f"/watches/{number}")
    assert eventually(lambda: data[-1] == b"5" and children[-1] == ["0", "1", "2", "3", "4"])
    patient = PatientChildrenWatch(one, "/watches", 0.3).start()
    names, changed = patient.get(timeout=60)
    assert sorted(names) == ["0", "1", "2", "3", "4"]
    two.delete("/watches", recursive=True)
    assert changed.get(timeout=60) is not None
    assert eventually(lambda: data[-1] is None)


def test_transaction(connect):
    """All of it or nothing, with an error for each operation."""
    client = connect()
    transaction = client.transaction()
    transaction.create("/transaction", b"1")
    transaction.create("/transaction/a")
    transaction.set_data("/transaction", b"2", version=0)
    transaction.check("/transaction", version=1)
    transaction.delete("/transaction/a")
    results = transaction.commit()
    assert results[0] == "/transaction" and results[2].version == 1 and results[3:] == [True, True]
    failing = client.transaction()
    failing.set_data("/transaction", b"3")
    failing.check("/transaction", version=99)
    failing.delete("/transaction")
    results = failing.commit()
    assert [type(result) for result in results][:2] == [RolledBackError, BadVersionError]
    assert client.get("/transaction")[0] == b"2"


def test_lease(connect):
    """A lease is had by one until it runs out."""
    from datetime import timedelta

    one, two = connect(), connect()
    assert one.NonBlockingLease("/lease", timedelta(minutes=5), "one")
    assert not two.NonBlockingLease("/lease", timedelta(minutes=5), "two")
    assert one.NonBlockingLease("/lease", timedelta(minutes=5), "one")
    assert MultiNonBlockingLease(one, 2, "/leases", timedelta(minutes=5), "one")
    assert MultiNonBlockingLease(two, 2, "/leases", timedelta(minutes=5), "two")
    assert not MultiNonBlockingLease(connect(), 2, "/leases", timedelta(minutes=5), "three")


def test_partitioner(connect):
    """The set is divided among the members, and again when one goes."""
    one, two = connect(), connect()
    everything = set(range(6))

    def settle(partitioner, size):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if partitioner.state == PartitionState.RELEASE:
                partitioner.release_set()
            elif partitioner.state == PartitionState.ACQUIRED and len(list(partitioner)) == size:
                return set(partitioner)
            else:
                partitioner.wait_for_acquire(0.1)
        raise AssertionError(f"never acquired {size}, state {partitioner.state}")

    first = one.SetPartitioner("/partitions", everything, identifier="1", time_boundary=0.3)
    second = two.SetPartitioner("/partitions", everything, identifier="2", time_boundary=0.3)
    shares = []
    in_threads(lambda: shares.append(settle(first, 3)), lambda: shares.append(settle(second, 3)))
    assert shares[0] | shares[1] == everything and not shares[0] & shares[1]
    second.finish()
    two.stop()
    assert settle(first, 6) == everything


def test_tree_cache(connect):
    """The cache follows the tree."""
    one, two = connect(), connect()
    two.create("/cached/a", b"1", makepath=True)
    events = []
    cache = TreeCache(one, "/cached")
    cache.listen(lambda event: events.append(event.event_type))
    cache.start()
    assert eventually(lambda: TreeEvent.INITIALIZED in events)
    assert cache.get_data("/cached/a").data == b"1"
    two.set("/cached/a", b"2")
    two.create("/cached/b", b"3")
    assert eventually(lambda: cache.get_data("/cached/a").data == b"2" and cache.get_children("/cached") == {"a", "b"})
    two.delete("/cached/b")
    assert eventually(lambda: cache.get_children("/cached") == {"a"})
    cache.close()


def test_many_watches_in_flight(connect):
    """A thousand pipelined calls and watches on one connection: each has its answer."""
    one, two = connect(), connect()
    one.ensure_path("/many")
    made = [one.create_async(f"/many/{number:04}", str(number).encode()) for number in range(1000)]
    assert [handle.get(60) for handle in made] == [f"/many/{number:04}" for number in range(1000)]
    fired = []
    reads = [one.get_async(f"/many/{number:04}", watch=fired.append) for number in range(1000)]
    assert [handle.get(60)[0] for handle in reads] == [str(number).encode() for number in range(1000)]
    changes = [two.set_async(f"/many/{number:04}", b"") for number in range(1000)]
    assert all(handle.get(60).version == 1 for handle in changes)
    assert eventually(lambda: len(fired) == 1000)
