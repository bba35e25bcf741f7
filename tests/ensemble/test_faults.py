"""Three real processes in network namespaces under stock clients, a seeded schedule of faults, and a judge of the history.

Every kind of fault in a short run; `TERN_ENSEMBLE_MINUTES=30` draws faults for so long. `TERN_ENSEMBLE_SEED` repeats a
schedule; the clients' timing is the machine's own.
"""

import json
import os
import random
import signal
import socket
import struct
import time

import faults
import pytest
import replicas
import workload
from boards import Boards
from confluent_kafka import Consumer, KafkaException, TopicPartition
from history import History, check_consumed, check_log, check_replicas, check_sensors
from kazoo.client import KazooClient
from network import address
from node import eventually

TOPICS = [workload.TOPIC, workload.SENSORS_TOPIC]
WIRE = ["broker.session.timeout.ms=1500", "replica.lag.time.max.ms=3000", "min.insync.replicas=2", "default.replication.factor=3",
        "offsets.topic.replication.factor=3", "offsets.topic.num.partitions=4", "group.initial.rebalance.delay.ms=100",
        "mqtt.map.0=sensors/# -> sensors key={1}"]
# Those that leave a board out, when they last longer than its session.
MUST_BE_FELT = [faults.killed, faults.paused, faults.unplugged, faults.mute]
MINUTES = float(os.environ.get("TERN_ENSEMBLE_MINUTES", 0))


@pytest.fixture
def boards(tmp_path):
    """Three boards that take a silent one for gone after 1.5 s, with the topics of the workload."""
    yield from running(tmp_path, 400, *WIRE)


def running(directory, tick_ms, *settings):
    boards = Boards(directory, *settings, tick_ms=tick_ms)
    try:
        boards.start_all()
        for topic in TOPICS:
            boards.create(topic, 4)
        boards.topics = [*TOPICS, "__consumer_offsets"]
        yield boards
    finally:
        said = boards.end()
    assert "panicked" not in said, said[-5000:]


def schedule(seed):
    """What happens, to whom, for how long: every kind of fault once, then as many more as the minutes take."""
    chance = random.Random(seed)
    began = time.monotonic()
    kinds = list(faults.ALL)
    chance.shuffle(kinds)
    while kinds or time.monotonic() - began < MINUTES * 60:
        kind = kinds.pop() if kinds else chance.choice(faults.ALL)
        yield kind, chance.choice(["leader", "follower", "any"]), chance.uniform(3, 5 if MINUTES == 0 else 10), chance


def choose(boards, who, chance):
    leader = boards.leader(60)
    others = [number for number in boards.members if number != leader]
    return {"leader": leader, "follower": chance.choice(others), "any": chance.choice(list(boards.members))}[who]


@pytest.mark.timeout(600 + 60 * MINUTES)
def test_a_schedule_of_faults(boards, capsys):
    """Nothing acknowledged is lost, doubled or out of order, whatever happens to one board or to all of them."""
    seed = int(os.environ.get("TERN_ENSEMBLE_SEED", random.randrange(1 << 32)))
    say(capsys, f"TERN_ENSEMBLE_SEED={seed} TERN_ENSEMBLE_MINUTES={MINUTES:g}")
    history = History()
    clients = workload.start_all(boards, history, seed)
    assert eventually(lambda: history.counts["commits"] and history.counts["published"], 60), (history.counts, history.broken)
    boards.wait_whole(boards.topics)
    done, felt, healing, began = {}, 0, 0, time.monotonic()
    for kind, who, seconds, chance in schedule(seed):
        victim = choose(boards, who, chance)
        say(capsys, f"{time.monotonic() - began:7.1f} s: board {victim} ({who}): {kind.__doc__}")
        with kind(boards, victim, chance):
            time.sleep(seconds)
            felt += kind in MUST_BE_FELT and bool(eventually(lambda: boards.leaves_out(workload.TOPIC, victim), 10, 0.2))
        mended = time.monotonic()
        boards.wait_whole(boards.topics)
        healing = max(healing, time.monotonic() - mended)
        assert boards.alive() == list(boards.members), [member.diagnostics()[-2000:] for member in boards.members.values()]
        assert not history.broken, history.broken[:10]
        done[kind.__name__] = done.get(kind.__name__, 0) + 1
    expected = sum(done[kind.__name__] for kind in MUST_BE_FELT)
    assert felt >= expected / 2, f"of {expected} faults only {felt} made the others go on without the board"
    end(boards, history, clients)
    broken = judge(boards, history)
    verdict = "FAILED" if broken else "nothing was lost, doubled or out of order"
    say(capsys, f"{time.monotonic() - began:7.1f} s: verdict: {verdict}: {summary(history, done)}; healed within {healing:.1f} s")
    assert not broken, (seed, len(broken), broken[:20])


def test_a_deposed_coordinator(boards):
    """A coordinator that hears nobody any more does not tell of committed offsets: others have taken newer ones since."""
    chance = random.Random(0)
    places = [TopicPartition(workload.TOPIC, 0, 10)]
    committing = {"bootstrap.servers": boards.kafka, "group.id": workload.GROUP, "log_level": 0}
    consumer = Consumer(committing)
    assert eventually(lambda: committed(consumer, places), 60, 0.2)

    def coordinator():
        number = boards.admin().describe_consumer_groups([workload.GROUP])[workload.GROUP].result(20).coordinator.id
        return number if offset_at(number) == 10 else None

    old = eventually(coordinator, 30, 0.2)
    assert old
    with faults.deaf(boards, old, chance):
        others = ",".join(f"{address(number)}:9092" for number in boards.members if number != old)
        successor = Consumer({**committing, "bootstrap.servers": others})
        places[0].offset = 20
        assert eventually(lambda: committed(successor, places), 60, 0.2)
        assert offset_at(old) != 10
        # Clients that reach no other board hear from it who took its place.
        assert eventually(lambda: coordinator_at(old) not in (None, old), 30, 0.2), coordinator_at(old)
    boards.wait_whole(boards.topics)
    assert eventually(lambda: 20 in [offset_at(number) for number in boards.members], 60, 0.2)
    consumer.close()
    successor.close()


def committed(consumer, places):
    try:
        return all(place.error is None for place in consumer.commit(offsets=places, asynchronous=False))
    except KafkaException:
        return False


def text(words):
    return struct.pack(">h", len(words)) + words.encode()


def asked(number, api, version, body):
    """What one board says by itself to a request, behind length and correlation id."""
    request = struct.pack(">hhi", api, version, 7) + text("test") + body
    with socket.create_connection((address(number), 9092), timeout=20) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        return connection.recv(4096)[8:]


def coordinator_at(number):
    """The coordinator that one board names to FindCoordinator 0, or none when it knows of none."""
    error, coordinator = struct.unpack_from(">hi", asked(number, 10, 0, text(workload.GROUP)))
    return None if error else coordinator


def offset_at(number):
    """The offset that one board tells to OffsetFetch 1, or none when it refuses."""
    body = text(workload.GROUP) + struct.pack(">i", 1) + text(workload.TOPIC) + struct.pack(">ii", 1, 0)
    answer = asked(number, 9, 1, body)
    # One topic with its name, one partition with index, offset, metadata and error.
    at = 4 + 2 + len(workload.TOPIC) + 4 + 4
    offset, metadata = struct.unpack_from(">qh", answer, at)
    (error,) = struct.unpack_from(">h", answer, at + 10 + max(metadata, 0))
    return None if error else offset


def test_a_stall_as_on_wifi(tmp_path):
    """With timeouts for Wi-Fi, 2.8 s of silence of any board cost no election, and no partition another leader."""
    boards = Boards(tmp_path, *WIRE[2:], tick_ms=4000)
    try:
        boards.start_all()
        boards.create(workload.TOPIC, 6)
        history = History()
        producer = workload.IdempotentProducer(boards, history, "producer0")
        assert eventually(lambda: history.counts["produced"], 60)
        before = boards.term(), epochs(boards)
        for member in boards.members.values():
            member.process.send_signal(signal.SIGSTOP)
            time.sleep(faults.STALL_SECONDS)
            member.process.send_signal(signal.SIGCONT)
            time.sleep(1)
        assert (boards.term(), epochs(boards)) == before
        producer.end()
        assert not history.broken and not check_log(history, workload.TOPIC, workload.content(boards, workload.TOPIC))
    finally:
        said = boards.end()
    assert "panicked" not in said, said[-5000:]


def epochs(boards):
    """Leader and leader epoch of every partition, as the tree has them."""
    client = KazooClient(boards.zookeeper)
    client.start(30)
    states = f"/brokers/topics/{workload.TOPIC}/partitions/{{}}/state"
    found = [json.loads(client.retry(client.get, states.format(partition))[0]) for partition in range(6)]
    client.stop()
    return [(state["leader"], state["leader_epoch"]) for state in found]


def end(boards, history, clients):
    """Lets clients finish; the group reads to the end."""
    for client in clients:
        if not isinstance(client, workload.GroupMember):
            client.end()
    written = workload.content(boards, workload.TOPIC)
    eventually(lambda: all((workload.TOPIC, *place) in history.consumed for place in written), workload.END_SECONDS)
    for client in clients:
        if isinstance(client, workload.GroupMember):
            client.end()


def judge(boards, history):
    """All rules; then the boards stop, and their files are compared."""
    written = workload.content(boards, workload.TOPIC)
    published = workload.content(boards, workload.SENSORS_TOPIC)
    broken = [*history.broken, *check_log(history, workload.TOPIC, written)]
    broken += check_consumed(history, workload.TOPIC, written) + check_sensors(history, published)
    assert len(history.acknowledged) > 500 and len(history.sequence) > 3, history.counts
    boards.wait_whole(boards.topics)
    for member in boards.members.values():
        assert member.stop() == 0, member.diagnostics()[-2000:]
    for topic in TOPICS:
        broken += check_replicas({number: replicas.records(member.data, topic) for number, member in boards.members.items()})
    return broken


def summary(history, done):
    """One line for people."""
    sensors = sum(len(numbers) for numbers in history.published.values())
    what = f"{len(history.acknowledged)} records produced, {sensors} published, {dict(history.counts)}"
    return f"{sum(done.values())} faults {done}; {what}"


def say(capsys, text):
    with capsys.disabled():
        print(f"\n{text}", end="", flush=True)
