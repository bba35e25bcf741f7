"""Three nodes as one ensemble on one machine: each row with its bound. Run tests/bench/ensemble.

The client is `tern bench` at the partition's leader. Figures are medians of rounds; what is compared is taken in turn.
"""

import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "compat"), str(HERE.parent / "ensemble")]

from confluent_kafka import Producer, TopicPartition  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec  # noqa: E402
from ensemble import Ensemble  # noqa: E402
from kafka_three import KafkaThree  # noqa: E402
from node import Node, eventually, raw  # noqa: E402

TERN = os.environ["TERN_BINARY"]
SECONDS = int(os.environ.get("TERN_BENCH_SECONDS", "5"))
ROUNDS = int(os.environ.get("TERN_BENCH_ROUNDS", "3"))
WORDS = sys.argv[1:]
BATCHED = ["--connections", 4, "--in-flight", 5, "--records", 64, "--bytes", 1000]
PACED = ["--rate", 1000, "--bytes", 1024]
STALL_SECONDS = 0.4
# What the profile of a wired board says of time.
PROFILE = (HERE.parents[1] / "boards/pi-4.properties").read_text()
WIRE = re.findall(r"^(?:tickTime|.*[sS]ession.*)=.*$", PROFILE, re.M)


class Three:
    """Our three nodes."""

    name = "ours"

    def __init__(self, directory, *settings):
        directory.mkdir(parents=True)
        self.ensemble = Ensemble(directory)
        self.ensemble.settings += ["min.insync.replicas=2", *WIRE, *settings]
        self.ensemble.start_all()
        self.members = self.ensemble.members

    @property
    def bootstrap(self):
        return ",".join(member.kafka for member in self.members.values())

    @property
    def pids(self):
        return [member.process.pid for member in self.members.values()]

    @property
    def addresses(self):
        return {number: member.kafka for number, member in self.members.items()}

    def metric(self, number, name):
        page = urllib.request.urlopen(f"http://{self.members[number].http}/metrics").read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M))

    def term(self):
        """Every election of the quorum raises it."""
        def of(member):
            host, port = member.zookeeper.rsplit(":", 1)
            return int(re.search(r"Zxid: (0x\w+)", raw((host, int(port)), b"srvr").decode())[1], 16) >> 32

        return max(of(member) for member in self.members.values())

    def stop(self):
        self.ensemble.end()


def partition(cluster, topic, index=0):
    metadata = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0}).list_topics(topic, timeout=20)
    return metadata.topics[topic].partitions[index]


def create(cluster, topic, partitions=1, replicas=3):
    """A topic whose copies are all in sync; the leader of its first partition."""
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, partitions, replicas)])[topic].result(30)
    asked = {TopicPartition(topic, index): OffsetSpec.latest() for index in range(partitions)}
    assert eventually(lambda: not any(answer.exception(10) for answer in admin.list_offsets(asked).values()), 30, 0.1)
    assert eventually(lambda: len(partition(cluster, topic).isrs) == replicas, 60, 0.1)
    return partition(cluster, topic).leader


class Figures:
    """What `tern bench` printed."""

    def __init__(self, line):
        def number(pattern):
            found = re.search(pattern, line)
            return float(found[1]) if found else None

        self.count = number(r"=(\d+) ")
        self.megabytes = number(r"megabytes_per_second=(\S+)")
        answers = line.split("to acknowledgement:")[-1]
        self.p50, self.p99, self.longest = (float(re.search(rf"{which} (\S+) ms", answers)[1]) for which in ("p50", "p99", "max"))


def bench(address, load, topic, *options, seconds=SECONDS):
    command = [TERN, "bench", load, "--bootstrap", address, "--topic", topic, "--seconds", seconds, *options]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds * 10 + 120)
    if done.returncode != 0:
        sys.exit(f"{load} {options}: {done.stdout}{done.stderr}")
    progress(f"{load} {topic}: {done.stdout.strip()}")
    return Figures(done.stdout)


def cpu_seconds(pids):
    """User and system time of whole processes."""
    def of(pid):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    return sum(of(pid) for pid in pids)


def resident(pid, which="VmRSS"):
    """Megabytes."""
    return int(re.search(rf"{which}:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024 / 1e6


def progress(text):
    print(f"   {text}", file=sys.stderr, flush=True)


class Report:
    """The table: what, the figure, its bound, and whether it holds."""

    def __init__(self):
        self.lines, self.missed = [], 0

    def add(self, what, figure, unit="", at_most=None, at_least=None):
        holds = (at_most is None or figure <= at_most) and (at_least is None or figure >= at_least)
        self.missed += not holds
        bound = f"<= {at_most:g}" if at_most is not None else f">= {at_least:g}" if at_least is not None else ""
        self.lines.append(f"{what:<84} {figure:>10,.3f} {unit:<5} {bound:<9} {'' if holds else 'MISSED'}".rstrip())
        progress(self.lines[-1])

    def print(self):
        print("\n".join(self.lines))
        print(f"\n{self.missed} missed" if self.missed else "\nevery bound holds")


def throughput(report, directory):
    """Bytes a second with three copies, as a share of one node's."""
    alone_directory = directory / "alone"
    alone_directory.mkdir()
    alone, three = Node(alone_directory), Three(directory / "three")
    try:
        rates = {"alone": [], "three": []}
        for turn in range(ROUNDS):
            single = f"alone-{turn}"
            rates["alone"].append(bench(alone.kafka, "produce", single, *BATCHED).megabytes)
            topic = f"three-{turn}"
            leader = create(three, topic)
            rates["three"].append(bench(three.addresses[leader], "produce", topic, *BATCHED).megabytes)
        median = {name: statistics.median(taken) for name, taken in rates.items()}
        report.add("produce, 64 KiB batches, acks=all, one node", median["alone"], "MB/s")
        report.add("the same, three nodes, three copies", median["three"], "MB/s")
        report.add("the same: share of one node's", median["three"] / median["alone"], at_least=0.25)
    finally:
        alone.stop()
        three.stop()


def cards(report, directory):
    """Acknowledgements at 1,000 writes a second on cards of 6 ms a sync, and on those that stall as well."""
    three = Three(directory / "cards", "tern.test.disk=steady-card")
    try:
        taken = []
        for turn in range(ROUNDS):
            leader = create(three, f"paced-{turn}")
            # A partition's first record makes files and directories: half a dozen syncs, once.
            bench(three.addresses[leader], "latency", f"paced-{turn}", *PACED, seconds=1)
            taken.append(bench(three.addresses[leader], "latency", f"paced-{turn}", *PACED).p99)
        report.add("cards: 1 KB writes, 1,000 a second: p99 to acknowledgement", statistics.median(taken), "ms", at_most=18)
    finally:
        three.stop()


def stalls(report, directory):
    """400 ms without a sign of life from one board: no election, and nobody waits for more than that one stall."""
    three = Three(directory / "stalls", "tern.test.disk=steady-card")
    try:
        leader = create(three, "stalled")
        before, epochs = three.term(), leader
        waits = []
        for number in (leader, *(other for other in three.members if other != leader)):
            pause = threading.Timer(1, stall, [three.members[number].process])
            pause.start()
            waits.append(bench(three.addresses[leader], "latency", "stalled", *PACED, seconds=max(3, SECONDS)).longest)
            pause.join()
        elections = three.term() - before + (partition(three, "stalled").leader != epochs)
        report.add("stalls of 400 ms of each board in turn: elections", elections, at_most=0)
        report.add("the same: longest acknowledgement", max(waits), "ms", at_most=450)
    finally:
        three.stop()


def stall(process):
    process.send_signal(signal.SIGSTOP)
    time.sleep(STALL_SECONDS)
    process.send_signal(signal.SIGCONT)


def failover(report, directory):
    """From a leader's death to the first acknowledgement by another, with timeouts for a wire."""
    three = Three(directory / "failover")
    try:
        took = []
        for turn in range(ROUNDS):
            topic = f"over-{turn}"
            leader = create(three, topic)
            alive = [member.kafka for number, member in three.members.items() if number != leader]
            admin = AdminClient({"bootstrap.servers": ",".join(alive), "log_level": 0})
            three.members[leader].kill()
            died = time.monotonic()
            led = lambda: admin.list_topics(topic, timeout=10).topics[topic].partitions[0].leader not in (-1, leader)  # noqa: E731
            assert eventually(led, 30, 0.005)
            producer = Producer({"bootstrap.servers": ",".join(alive), "acks": "all", "log_level": 0})
            told = []
            producer.produce(topic, b"x", on_delivery=lambda error, _message, told=told: told.append(error))
            producer.flush(30)
            assert told == [None], told
            took.append(time.monotonic() - died)
            progress(f"failover: {took[-1]:.2f} s")
            three.members[leader].start()
            three.members[leader].ready()
            assert eventually(lambda: len(partition(three, topic).isrs) == 3, 60, 0.1)
        report.add("failover: from kill -9 of the leader to the next acknowledgement", max(took), "s", at_most=2)
    finally:
        three.stop()


def catch_up(report, directory):
    """A follower that was away while others produced takes up what it missed: with a card for each board, which the bounds
    are meant for, and on this machine's one disk, where its writes hold up the leader's syncs."""
    take_up(report, directory / "card", "catch-up on cards", ["tern.test.disk=steady-card"], 2)
    take_up(report, directory / "disk", "catch-up on one disk for all", [], None)


def take_up(report, directory, name, settings, at_most):
    three = Three(directory, *settings)
    try:
        leader = create(three, "missed")
        address = three.addresses[leader]
        bench(address, "latency", "missed", *PACED, seconds=1)  # the first writes allocate segments and connect replicas
        quiet = bench(address, "latency", "missed", *PACED).p99
        away = next(number for number in three.members if number != leader)
        three.members[away].kill()
        assert eventually(lambda: len(partition(three, "missed").isrs) == 2, 30, 0.1)
        produced = bench(address, "produce", "missed", *BATCHED, seconds=3 * SECONDS)
        missed = produced.megabytes * 3 * SECONDS
        busy = []
        load = threading.Thread(target=lambda: busy.append(bench(address, "latency", "missed", *PACED)))
        load.start()
        time.sleep(0.5)
        began = time.monotonic()
        three.members[away].start()
        three.members[away].ready()
        assert eventually(lambda: len(partition(three, "missed").isrs) == 3, 300, 0.05)
        rate = missed / (time.monotonic() - began)
        load.join()
        report.add(f"{name}: {missed:.0f} MB, start included: share of produce speed", rate / produced.megabytes, at_least=0.5)
        report.add(f"{name}: leader's p99 meanwhile, against without", busy[0].p99 / quiet, at_most=at_most)
        report.add(f"{name}: leader's p99 meanwhile", busy[0].p99, "ms")
    finally:
        three.stop()


def idle(report, directory):
    """Nobody writes: no sync, hardly any CPU time, little memory."""
    three = Three(directory / "idle")
    try:
        create(three, "idle", partitions=6)
        # What settles after the start is not idling.
        time.sleep(10)
        seconds = 6 * SECONDS
        syncs = sum(three.metric(number, "tern_disk_syncs_total") for number in three.members)
        before = [cpu_seconds([pid]) for pid in three.pids]
        time.sleep(seconds)
        shares = [(cpu_seconds([pid]) - begun) / seconds * 100 for pid, begun in zip(three.pids, before)]
        after = sum(three.metric(number, "tern_disk_syncs_total") for number in three.members)
        report.add(f"idle, {seconds} s, six partitions: syncs of all three", after - syncs, at_most=0)
        report.add("idle: the busiest node's share of a core", max(shares), "%", at_most=1)
        report.add("idle: the largest node's resident memory", max(resident(pid) for pid in three.pids), "MB", at_most=12)
    finally:
        three.stop()


def beside_kafka(report, directory):
    """CPU time a message and memory, three against three, the same load at the same time of day."""
    ours, theirs = Three(directory / "ours"), KafkaThree(directory)
    try:
        costs, rates = {ours.name: [], theirs.name: []}, {ours.name: [], theirs.name: []}
        # The first round warms the JVMs up.
        for turn in range(ROUNDS + 1):
            for cluster in (ours, theirs):
                topic = f"beside-{turn}"
                leader = create(cluster, topic)
                os.sync()
                before = cpu_seconds(cluster.pids)
                taken = bench(cluster.addresses[leader], "produce", topic, *BATCHED)
                time.sleep(0.5)
                if turn > 0:
                    costs[cluster.name].append((cpu_seconds(cluster.pids) - before) * 1e6 / taken.count)
                    rates[cluster.name].append(taken.megabytes)
        cost = {name: statistics.median(taken) for name, taken in costs.items()}
        rate = {name: statistics.median(taken) for name, taken in rates.items()}
        peak = {cluster.name: sum(resident(pid, "VmHWM") for pid in cluster.pids) for cluster in (ours, theirs)}
        report.add("beside Kafka, 64 records a batch: our rate", rate["ours"], "MB/s")
        report.add("beside Kafka: Kafka's rate, without a sync", rate["Kafka"], "MB/s")
        report.add("beside Kafka: our CPU time a message, all three", cost["ours"], "us")
        report.add("beside Kafka: share of Kafka's CPU time", cost["ours"] / cost["Kafka"], at_most=0.5)
        report.add("beside Kafka: our resident memory, peak, all three", peak["ours"], "MB")
        report.add("beside Kafka: share of Kafka's", peak["ours"] / peak["Kafka"], at_most=0.1)
    finally:
        ours.stop()
        theirs.stop()


ROWS = [throughput, cards, stalls, failover, catch_up, idle, beside_kafka]


def main():
    directory = pathlib.Path(os.environ.get("TERN_BENCH_DIRECTORY", "target/bench-ensemble")).resolve()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    started, report = time.monotonic(), Report()
    for row in ROWS:
        if not WORDS or any(word in row.__name__ for word in WORDS):
            row(report, directory)
    shutil.rmtree(directory)
    report.print()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(1 if report.missed else 0)


main()
