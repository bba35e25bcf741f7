"""Apache Kafka's own tools, each version in one JVM that runs one tool after the other."""

import os
import pathlib
import struct
import subprocess

import pytest

SOURCES = pathlib.Path(__file__).parent / "java"
INSTALLED = pathlib.Path(os.environ.get("TERN_TEST_TOOLS", "target/test-tools")).resolve()


def missing(what):
    """Without its client a test is a failure under CI, and a loud skip elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed: tests/run installs it")
    pytest.skip(f"{what} is not installed: tests/run installs it")


def classpath(version):
    """The jars and compiled drivers of one version, `2.3` or `4`."""
    jars = INSTALLED / f"kafka-{version}"
    if not (jars / "classes").is_dir():
        missing(f"Apache Kafka {version}")
    return f"{jars}/classes:{jars}/*"


# The class of each tool, as the scripts of each version name it.
CLASSES = {
    "2.3": {
        "acls": "kafka.admin.AclCommand",
        "broker-api-versions": "kafka.admin.BrokerApiVersionsCommand",
        "compatibility": "org.apache.kafka.tools.ClientCompatibilityTest",
        "configs": "kafka.admin.ConfigCommand",
        "console-consumer": "kafka.tools.ConsoleConsumer",
        "console-producer": "kafka.tools.ConsoleProducer",
        "consumer-groups": "kafka.admin.ConsumerGroupCommand",
        "consumer-perf-test": "kafka.tools.ConsumerPerformance",
        "delete-records": "kafka.admin.DeleteRecordsCommand",
        "dump-log": "kafka.tools.DumpLogSegments",
        "end-to-end-latency": "kafka.tools.EndToEndLatency",
        "get-offsets": "kafka.tools.GetOffsetShell",
        "leader-election": "kafka.admin.PreferredReplicaLeaderElectionCommand",
        "log-dirs": "kafka.admin.LogDirsCommand",
        "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
        "reassign-partitions": "kafka.admin.ReassignPartitionsCommand",
        "topics": "kafka.admin.TopicCommand",
        "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
        "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    },
    "4": {
        "acls": "org.apache.kafka.tools.AclCommand",
        "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
        "client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
        "clients": "Clients",
        "cluster": "org.apache.kafka.tools.ClusterTool",
        "compatibility": "org.apache.kafka.tools.ClientCompatibilityTest",
        "configs": "kafka.admin.ConfigCommand",
        "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "console-producer": "org.apache.kafka.tools.ConsoleProducer",
        "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
        "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
        "dump-log": "kafka.tools.DumpLogSegments",
        "end-to-end-latency": "org.apache.kafka.tools.EndToEndLatency",
        "features": "org.apache.kafka.tools.FeatureCommand",
        "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
        "groups": "org.apache.kafka.tools.GroupsCommand",
        "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
        "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
        "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
        "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
        "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
        "topics": "org.apache.kafka.tools.TopicCommand",
        "transactions": "org.apache.kafka.tools.TransactionsCommand",
        "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
        "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    },
}

# Those that take the broker's address by an older name in 2.3.
BROKER_LIST = {"console-producer", "consumer-perf-test", "get-offsets", "verifiable-producer", "verifiable-consumer"}


class Outcome:
    """What a tool printed, and its exit code."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Tools:
    """The tools of one version of Apache Kafka, asked of one node."""

    def __init__(self, version, bootstrap, ahead=()):
        """`ahead`: jars that replace those of the version."""
        self.version, self.bootstrap = version, bootstrap
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        command += ["--add-opens=java.base/java.lang=ALL-UNNAMED", "-Dlog4j2.level=WARN"]
        command += [f"-Dlog4j.configuration={(SOURCES / 'log4j.properties').as_uri()}", "-cp", ":".join([*ahead, classpath(version)]), "Tools"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, tool, *arguments, text="", code=0):
        """Runs a tool against the node and returns what it printed; another exit code than `code` is a failure."""
        older = self.version == "2.3" and tool in BROKER_LIST
        address = ["--broker-list" if older else "--bootstrap-server", self.bootstrap]
        # argparse4j wants a subcommand before the options that belong to it.
        first, rest = (arguments[:1], arguments[1:]) if tool == "cluster" else ((), arguments)
        outcome = self.run(tool, *first, *address, *rest, text=text)
        assert outcome.code == code, f"{tool} {arguments}: {outcome}"
        return outcome.out

    def run(self, tool, *arguments, text=""):
        """Runs a tool to its end; `text` is its standard input."""
        words = [CLASSES[self.version][tool], *(str(argument) for argument in arguments)]
        words = [struct.pack(">i", len(words)), *(length_and_bytes(word) for word in [*words, text])]
        self.process.stdin.write(b"".join(words))
        self.process.stdin.flush()
        code = struct.unpack(">i", self._read(4))[0]
        out, err = (self._read(struct.unpack(">i", self._read(4))[0]).decode() for _ in range(2))
        return Outcome(code, out, err)

    def _read(self, count):
        read = self.process.stdout.read(count)
        assert len(read) == count, "the JVM is gone: a tool that cannot read its arguments ends it"
        return read

    def close(self):
        self.process.kill()
        self.process.wait()


def length_and_bytes(text):
    return struct.pack(">i", len(text.encode())) + text.encode()
