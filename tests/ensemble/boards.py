"""Three boards on one switch (network.py), each running a node on the standard ports."""

import os
import shutil

import node
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from ensemble import Ensemble, Member
from network import Network, address
from node import eventually, raw

DISK_BYTES = 512 << 20
# How long boards may take until every replica is in sync again. Other work may share the machine.
WHOLE_SECONDS = 150


class Board(Member):
    """A node on a board of its own; `directory` takes what it says, its data lie on the board's disk."""

    def __init__(self, number, directory, settings, network, **more):
        self.network = network
        super().__init__(number, directory, settings, **more)

    @staticmethod
    def binary():
        """Its program, wherever that is looked for from."""
        return os.path.abspath(node.BINARY)

    def places(self):
        here, disk = address(self.number), self.network.directory / f"disk{self.number}"
        return [
            f"dataDir={disk}/coordinator",
            f"log.dirs={disk}/topics",
            f"listeners=PLAINTEXT://{here}:9092",
            "clientPort=2181",
            f"clientPortAddress={here}",
            f"mqtt.listeners=tcp://{here}:1883",
            f"http.listener={here}:8080",
        ]

    def within(self):
        node.BINARY = self.binary()
        return [*self.network.within(self.number), "setpriv", "--pdeathsig", "KILL"]

    @property
    def data(self):
        """Its disk as the test sees it."""
        return self.network.disk(self.number)

    def lose_disk(self):
        for name in ("coordinator", "topics"):
            assert eventually(lambda: self.emptied(name)), f"{self.data / name} is not empty"

    def emptied(self, name):
        """True when a directory is gone; a node that runs makes and removes files in it meanwhile."""
        shutil.rmtree(self.data / name, ignore_errors=True)
        return not (self.data / name).exists()

    def fill_disk(self):
        """Takes all room but a page; the filler's path."""
        filler = self.data / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)) == 65536:
                    pass
            except OSError:
                pass
        return filler


class Boards(Ensemble):
    """All of them, and what is asked of them as a whole."""

    def __init__(self, directory, *settings, count=3, tick_ms=400):
        super().__init__(directory, count, tick_ms, peers={n: (address(n), 2888, 3888) for n in range(1, count + 1)})
        self.settings += settings
        self.network = Network(count, DISK_BYTES, directory)
        self.admins = {}

    def make(self, number, directory, settings):
        return Board(number, directory, settings, self.network)

    def end(self):
        try:
            return super().end()
        finally:
            self.network.end()

    def restart(self, number):
        """Starts a board's node again on what is left on its disk."""
        self.members[number].start()
        self.members[number].ready()

    @property
    def kafka(self):
        return ",".join(f"{address(number)}:9092" for number in self.members)

    @property
    def zookeeper(self):
        return ",".join(f"{address(number)}:2181" for number in self.members)

    def admin(self, number=None):
        """A client that asks one board, or any; each is made once."""
        if number not in self.admins:
            asked = f"{address(number)}:9092" if number else self.kafka
            self.admins[number] = AdminClient({"bootstrap.servers": asked, "log_level": 0})
        return self.admins[number]

    def states(self, topic, number=None):
        """The partitions of a topic as one board sees them, or any; none when it does not answer."""
        try:
            return list(self.admin(number).list_topics(topic, timeout=5).topics[topic].partitions.values())
        except KafkaException:
            return []

    def create(self, topic, partitions):
        self.admin().create_topics([NewTopic(topic, partitions, len(self.members))])[topic].result(30)
        self.wait_whole([topic])

    def wait_whole(self, topics):
        """Waits until every replica of the topics is in sync; an ensemble that does not heal is a failure."""

        def is_whole(number):
            of_each = [self.states(topic, number) for topic in topics]
            whole = lambda state: len(state.isrs) == len(self.members) and state.leader > 0  # noqa: E731
            return all(states and all(whole(state) for state in states) for states in of_each)

        for number in self.members:
            assert eventually(lambda: is_whole(number), WHOLE_SECONDS, pause=0.25), self.describe(topics)

    def leaves_out(self, topic, number):
        """How many partitions of a topic count without this board, in the eyes of those who know most."""
        seen = [self.states(topic, other) for other in self.alive() if other != number]
        return max((sum(number not in state.isrs for state in states) for states in seen), default=0)

    def term(self):
        """The term of the quorum, which every election raises."""
        terms = [self.zxid(number) >> 32 for number in self.alive()]
        return max(terms)

    def zxid(self, number):
        """The last transaction that a board has applied."""
        said = raw((address(number), 2181), b"srvr").decode()
        return int(next(line.split()[1] for line in said.splitlines() if line.startswith("Zxid:")), 16)

    def describe(self, topics):
        """For the one who reads a failure."""
        said = {number: self.role(number) for number in self.members}
        for topic in topics:
            for state in self.states(topic):
                said[f"{topic}-{state.id}"] = f"leader {state.leader}, in sync {state.isrs}"
        ends = {number: member.diagnostics()[-1500:] for number, member in self.members.items()}
        return f"{said}\n" + "\n".join(f"--- board {number}\n{end}" for number, end in ends.items())
