"""Ours against Apache Kafka 4 in one run: rates, CPU time a message, latencies, memory, a rebalance. Run tests/bench/kafka.

Three servers stand side by side on one disk: ours, which syncs before each acknowledgement, Kafka as it comes (it never
syncs) and Kafka with log.flush.interval.messages=1. Each load is taken in turn from all three by the same client,
`tern bench`, and what is compared are medians. CPU time is user and system time of the whole server process. What the
page cache still owes the disk is written out between two loads, so that nobody pays for another's laziness.
"""

import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "compat"))
from java_tools import classpath  # noqa: E402
from node import Node  # noqa: E402

TERN = os.environ["TERN_BINARY"]
SECONDS = int(os.environ.get("TERN_BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("TERN_BENCH_ROUNDS", "3"))
WORDS = sys.argv[1:]
PARTITIONS = 100

# What Kafka's own start script gives the JVM, beside the heap.
JVM = "-Xmx512m -Xms512m -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"
JVM = [*JVM.split(), "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dlog4j2.level=WARN"]


class Server:
    """A broker under measurement."""

    def cpu_seconds(self):
        """User and system time of all its threads, those that have ended too."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_peak(self):
        """Megabytes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024 / 1e6

    def create(self, topic, partitions):
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(30)
        # Kafka names leaders before they lead.
        asked, deadline = {TopicPartition(topic, index): OffsetSpec.latest() for index in range(partitions)}, time.monotonic() + 30
        while any(answer.exception(10) for answer in admin.list_offsets(asked).values()):
            assert time.monotonic() < deadline, f"{self.name}: not every partition of {topic} has a leader"
        return topic

    def delete(self, topic):
        admin = AdminClient({"bootstrap.servers": self.address})
        admin.delete_topics([topic])[topic].result(30)


class Tern(Server):
    """Our node with its default settings, or those given."""

    name = "ours"

    def __init__(self, directory, *settings):
        directory.mkdir(parents=True)
        self.node = Node(directory, "log.segment.delete.delay.ms=0", "group.initial.rebalance.delay.ms=0", *settings)
        self.pid, self.address = self.node.process.pid, self.node.kafka

    def metric(self, name, labels=r"(?:{.*})?"):
        page = urllib.request.urlopen(f"http://{self.node.http}/metrics").read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}{labels} (\S+)$", page, re.M))

    def stop(self):
        self.node.stop()


class Kafka(Server):
    """Apache Kafka, broker and controller in one process."""

    def __init__(self, directory, sync):
        self.name = "Kafka, a sync each" if sync else "Kafka, no sync"
        directory.mkdir(parents=True)
        broker, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{broker}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": directory / "data",
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.segment.delete.delay.ms": 0,
            **({"log.flush.interval.messages": 1} if sync else {}),
        }
        properties = directory / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        jars, self.log = classpath("4"), open(directory / "server.log", "w")
        format_storage = ["java", "-cp", jars, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw"]
        subprocess.run([*format_storage, "-c", properties], check=True, stdout=self.log, stderr=self.log)
        command = ["java", *JVM, "-cp", jars, "kafka.Kafka", properties]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.pid, deadline = self.process.pid, time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"Kafka does not start; see {self.log.name}")

    def answers(self):
        try:
            return AdminClient({"bootstrap.servers": self.address, "log_level": 0}).list_topics(timeout=1).brokers
        except Exception:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Figures:
    """What one load gave; what `tern bench` printed once or several times, and the server's CPU seconds for all of it."""

    def __init__(self, lines, cpu):
        def numbers(pattern):
            return [float(found) for line in lines for found in re.findall(pattern, line)[:1]]

        self.count, self.seconds = sum(numbers(r"=(\d+) ")), sum(numbers(r"seconds=(\S+)"))
        self.rate, self.cpu = self.count / self.seconds, cpu * 1e6 / max(self.count, 1)
        self.p50, self.p99 = (statistics.median(numbers(rf"{which} (\S+) ms")) for which in ("p50", "p99"))


def bench(server, load, topic, *options):
    """One load of `tern bench` on a server, and the server's CPU time for it; a topic is consumed again and again."""
    os.sync()
    before, lines, started = server.cpu_seconds(), [], time.monotonic()
    command = [TERN, "bench", load, "--bootstrap", server.address, "--topic", topic, "--seconds", SECONDS, *options]
    while not lines or (load == "consume" and time.monotonic() - started < SECONDS):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=SECONDS * 10 + 60)
        if done.returncode != 0:
            sys.exit(f"{server.name}, {load} {options}: {done.stdout}{done.stderr}")
        lines.append(done.stdout)
    return Figures(lines, server.cpu_seconds() - before)


BATCHED = ["--connections", 4, "--in-flight", 5, "--records", 64, "--bytes", 1000]
UNBATCHED = ["--connections", 16, "--in-flight", 5, "--records", 1, "--bytes", 100]
PACED = ["--rate", 2000, "--bytes", 100]


def loads():
    """Name, partitions, and the loads that run one after the other on one topic with the rows that they fill."""
    for partitions in (1, PARTITIONS):
        many = f"{partitions} partition{'s' if partitions > 1 else ''}"
        batched, consumed = f"produce, 64 records a batch, {many}", f"consume, {many}"
        yield partitions, [(batched, "produce", BATCHED), (consumed, "consume", [])]
        yield partitions, [(f"produce, one record a request, {many}", "produce", UNBATCHED)]
    yield PARTITIONS, [(f"end to end, 2,000 a second, {PARTITIONS} partitions", "latency", PACED)]


def wanted(name):
    return not WORDS or any(word in name for word in WORDS)


def measure(servers):
    """Every load from every server, in turn; the first round warms the JVM up and is not counted."""
    figures, number = {}, 0
    for turn in range(ROUNDS + 1):
        for partitions, rows in loads():
            if not any(wanted(name) for name, _, _ in rows):
                continue
            for server in servers:
                number += 1
                topic = server.create(f"load-{number}", partitions)
                for name, load, options in rows:
                    taken = bench(server, load, topic, *options)
                    if turn > 0:
                        figures.setdefault(name, {}).setdefault(server.name, []).append(taken)
                    progress(f"{name}: {server.name}: {taken.rate:,.0f}/s at {taken.cpu:.2f} us, p99 {taken.p99:.1f} ms")
                server.delete(topic)
    return figures


def progress(text):
    print(f"   {text}", file=sys.stderr, flush=True)


class Report:
    """The table: what, ours, Kafka's, the ratio, the bound, and whether it holds."""

    def __init__(self):
        self.lines, self.missed = [], 0

    def add(self, what, ours, theirs, bound=None, at_most=True, unit=""):
        ratio = ours / theirs if theirs else float("nan")
        word = ""
        if bound is not None:
            holds = ratio <= bound if at_most else ratio >= bound
            self.missed += not holds
            word = f"{'<=' if at_most else '>='} {bound:g}  {'' if holds else 'MISSED'}"
        self.lines.append(f"{what:<66} {ours:>11,.2f} {theirs:>11,.2f} {unit:<5} {ratio:>7.2f}  {word}".rstrip())

    def print(self):
        print(f"\n{'what':<66} {'ours':>11} {'Kafka':>11} {'':<5} {'ratio':>7}  bound")
        print("\n".join(self.lines))
        print(f"\n{self.missed} missed" if self.missed else "\nevery bound holds")


def report_loads(report, figures, ours, peers):
    median = lambda taken, which: statistics.median(getattr(one, which) for one in taken)
    for name, by_server in figures.items():
        if not wanted(name):
            continue
        for peer, rate_bound in peers:
            pair = by_server[ours], by_server[peer]
            against = f"{name}; {peer}"
            if name.startswith("end to end"):
                report.add(f"{against}: p50", *(median(one, "p50") for one in pair), unit="ms")
                report.add(f"{against}: p99", *(median(one, "p99") for one in pair), unit="ms")
            else:
                report.add(f"{against}: rate", *(median(one, "rate") for one in pair), rate_bound, False, "/s")
            report.add(f"{against}: CPU", *(median(one, "cpu") for one in pair), 0.5, True, "us")


def rebalance(server, group):
    """Seconds from the tenth member's subscription until all ten have ten partitions each."""
    settings = {"bootstrap.servers": server.address, "group.id": group, "heartbeat.interval.ms": 100}
    members = [Consumer(settings) for _ in range(10)]
    shares = lambda: [{(one.topic, one.partition) for one in member.assignment()} for member in members]

    def settle(sizes):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for member in members:
                member.poll(0)
            now = shares()
            if sorted(map(len, now)) == sizes and len(set().union(*now)) == PARTITIONS:
                return
            time.sleep(0.001)
        raise TimeoutError(f"{server.name}: {[len(share) for share in shares()]} are not {sizes}")

    for member in members[:9]:
        member.subscribe(["rebalanced"])
    settle([0] + [11] * 8 + [12])
    started = time.monotonic()
    members[9].subscribe(["rebalanced"])
    settle([10] * 10)
    took = time.monotonic() - started
    for member in members:
        member.close()
    return took


def report_rebalance(report, ours, peer):
    took = {ours.name: [], peer.name: []}
    for server in (ours, peer):
        server.create("rebalanced", PARTITIONS)
    for turn in range(ROUNDS + 2):
        for server in (ours, peer):
            took[server.name].append(rebalance(server, f"rebalance-{turn}"))
            progress(f"rebalance: {server.name}: {took[server.name][-1] * 1e3:.0f} ms")
    # The first of each warms up.
    pair = (statistics.median(took[server.name][1:]) * 1e3 for server in (ours, peer))
    report.add("rebalance, a tenth member over 100 partitions", *pair, 1.0, True, "ms")


def report_scale(report, directory):
    """1,000 partitions, 100 groups with a member each and 500 connections inside a budget of 64 MiB."""
    node = Tern(directory, "memory.budget=64MiB", "memory.partitions.max=1100", "max.connections=768")
    try:
        for number in range(10):
            node.create(f"wide-{number}", PARTITIONS)
        producer = Producer({"bootstrap.servers": node.address})
        for number in range(10_000):
            producer.produce(f"wide-{number % 10}", b"x" * 100, partition=number // 10 % PARTITIONS)
        assert producer.flush(60) == 0
        settings = {"bootstrap.servers": node.address, "auto.offset.reset": "earliest", "enable.auto.commit": False}
        members = [Consumer({**settings, "group.id": f"group-{number}"}) for number in range(100)]
        got = [0] * len(members)
        for number, member in enumerate(members):
            member.subscribe([f"wide-{number % 10}"])
        deadline = time.monotonic() + 120
        while min(got) < 1000 and time.monotonic() < deadline:
            for number, member in enumerate(members):
                if got[number] < 1000:
                    messages = member.consume(1000, 0.005)
                    got[number] += sum(message.error() is None for message in messages)
        for member in members:
            member.commit(asynchronous=False)
        host, port = node.address.rsplit(":", 1)
        connections = lambda: int(node.metric("tern_connections", '{door="kafka"}'))
        # What the stock clients opened, and as many more as make five hundred.
        idle = [socket.create_connection((host, int(port))) for _ in range(500 - connections())]
        time.sleep(1)
        assert min(got) == 1000, f"members got {sorted(set(got))} of 1000"
        report.add("1,000 partitions, 100 groups: connections", connections(), 500, 1.0, False)
        budget, peak = 64 * 1.048576, node.metric("tern_memory_allocated_peak_bytes") / 1e6
        report.add("the same: allocator's peak, of a budget of 64 MiB", peak, budget, 1.0, True, "MB")
        report.add("the same: resident peak, of a budget of 64 MiB", node.resident_peak(), budget, 1.0, True, "MB")
        for connection in idle:
            connection.close()
        for member in members:
            member.close()
    finally:
        node.stop()


def main():
    directory = pathlib.Path(os.environ.get("TERN_BENCH_DIRECTORY", "target/bench-kafka")).resolve()
    shutil.rmtree(directory, ignore_errors=True)
    started, servers, report = time.monotonic(), [], Report()
    try:
        servers.append(Tern(directory / "ours"))
        servers += [Kafka(directory / "kafka", False), Kafka(directory / "kafka-sync", True)]
        ours, lazy, careful = servers
        figures = measure(servers)
        report_loads(report, figures, ours.name, [(lazy.name, 0.8), (careful.name, 1.0)])
        if figures:
            report.add("resident memory, peak after all of these", ours.resident_peak(), lazy.resident_peak(), 0.1, True, "MB")
        if wanted("rebalance"):
            report_rebalance(report, ours, lazy)
        if wanted("scale"):
            report_scale(report, directory / "scale")
    finally:
        for server in servers:
            server.stop()
    shutil.rmtree(directory)
    report.print()
    print(f"{time.monotonic() - started:.0f} s")
    sys.exit(1 if report.missed else 0)


main()
