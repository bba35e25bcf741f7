"""The steps of known tutorials that need three brokers, typed with the tools that they name, on three boards.

Every board is started from a zoo.cfg, a server.properties and a file `myid`, as a tutorial has them written.
"""

import collections
import json
import pathlib
import re
import subprocess
import threading

import pytest
from boards import Board, Boards
from java_tools import INSTALLED, Tools, missing
from network import address
from node import eventually, raw

ZOOKEEPER_SHELL = "/usr/share/zookeeper/bin/zkCli.sh"

ZOO_CFG = """\
tickTime=400
initLimit=10
syncLimit=5
dataDir={disk}/coordinator
clientPort=2181
clientPortAddress={here}
4lw.commands.whitelist=*
server.1=10.9.0.1:2888:3888
server.2=10.9.0.2:2888:3888
server.3=10.9.0.3:2888:3888
"""

SERVER_PROPERTIES = """\
listeners=PLAINTEXT://{here}:9092
log.dirs={disk}/topics
offsets.topic.replication.factor=3
zookeeper.connect=10.9.0.1:2181,10.9.0.2:2181,10.9.0.3:2181
mqtt.listeners=tcp://{here}:1883
http.listener={here}:8080
tern.peer.secret.file={secret}
"""


# The console producers give a broker 1.5 s and three attempts; a slow machine makes them send twice, or give up.
PATIENT = ["--request-timeout-ms", 30000, "--message-send-max-retries", 100]


class WrittenBoard(Board):
    """A board whose node is told everything by files."""

    def __init__(self, number, directory, network, secret):
        disk = network.directory / f"disk{number}"
        seen = network.disk(number)
        (seen / "coordinator").mkdir()
        (seen / "coordinator" / "myid").write_text(f"{number}\n")
        directory.mkdir()
        words = {"disk": disk, "here": address(number), "secret": secret}
        files = [directory / "zoo.cfg", directory / "server.properties"]
        for file, text in zip(files, (ZOO_CFG, SERVER_PROPERTIES)):
            file.write_text(text.format(**words))
        super().__init__(number, directory, [], network, files=files)

    def places(self):
        return []


class WrittenBoards(Boards):
    def make(self, number, directory, _settings):
        return WrittenBoard(number, directory, self.network, self.directory / "secret")


@pytest.fixture(scope="module")
def boards(tmp_path_factory):
    """Three boards that the steps share."""
    boards = WrittenBoards(tmp_path_factory.mktemp("walk"))
    try:
        boards.start_all()
        # The client of ZooKeeper 3.4 that came with 2.3 cannot resolve addresses on today's Java; a newer one takes its place.
        newer = [str(jar) for jar in (INSTALLED / "zookeeper").glob("zookeeper-*.jar")]
        boards.tools = {"2.3": Tools("2.3", "", ahead=newer), "4": Tools("4", "")}
        yield boards
    finally:
        for tools in getattr(boards, "tools", {}).values():
            tools.close()
        said = boards.end()
    assert "panicked" not in said, said[-5000:]


def everywhere(boards):
    """Waits until every board has applied what any of them has: another one than was asked is asked next."""
    latest = max(boards.zxid(number) for number in boards.alive())
    assert eventually(lambda: all(boards.zxid(number) >= latest for number in boards.alive()), 30)


def kafka(boards, version, number, tool, *arguments, text=""):
    """A tool of Apache Kafka, asked of one board."""
    boards.tools[version].bootstrap = f"{address(number)}:9092"
    return boards.tools[version].ask(tool, *arguments, text=text)


def zookeeper(number, *command):
    """What ZooKeeper's shell prints for one command to one board, without its chatter."""
    if not pathlib.Path(ZOOKEEPER_SHELL).exists():
        missing("ZooKeeper's shell")
    done = subprocess.run(
        [ZOOKEEPER_SHELL, "-server", f"{address(number)}:2181", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    chatter = ("Connecting to", "WATCHER::", "WatchedEvent", "SLF4J")
    return [line for line in done.stdout.splitlines() if line and not line.startswith(chatter)]


def test_1_myid(boards, tmp_path):
    """Each node took its number from the file; a file that is wrong or missing is a sentence that names it."""
    assert [boards.zxid(number) > 0 for number in (1, 2, 3)] == [True] * 3
    disk = tmp_path / "disk"
    (disk / "coordinator").mkdir(parents=True)
    words = {"disk": disk, "here": address(1), "secret": boards.directory / "secret"}
    for name, text in (("zoo.cfg", ZOO_CFG), ("server.properties", SERVER_PROPERTIES)):
        (tmp_path / name).write_text(text.format(**words))

    def refusal(*more):
        command = [boards.members[1].binary(), "serve", tmp_path / "zoo.cfg", tmp_path / "server.properties", *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done
        return done.stderr

    said = refusal()
    assert "myid" in said and "server.N" in said.replace("server.1", "server.N"), said
    (disk / "coordinator" / "myid").write_text("7\n")
    said = refusal()
    assert "myid" in said and "7" in said, said
    (disk / "coordinator" / "myid").write_text("1\n")
    said = refusal("--set", "broker.id=2")
    assert "myid" in said and "broker.id" in said, said


def test_2_status(boards):
    """Exactly one answers `Mode: leader`, the others `Mode: follower`, to `srvr` and to `stat`."""
    for word in (b"srvr", b"stat"):
        said = lambda: [raw((address(number), 2181), word).decode() for number in (1, 2, 3)]  # noqa: E731
        modes = lambda: collections.Counter(re.findall(r"^Mode: (\w+)$", "\n".join(said()), re.M))  # noqa: E731
        assert eventually(lambda: modes() == {"leader": 1, "follower": 2}, 30), said()


def test_3_a_znode_everywhere(boards):
    """A znode that was made at server 1 is read at server 2, and `ls /` lists it beside zookeeper."""
    assert "Created /app1" in zookeeper(1, "create", "/app1", "Hello, app1")
    everywhere(boards)
    assert zookeeper(2, "get", "/app1")[-1] == "Hello, app1"
    listed = zookeeper(3, "ls", "/")[-1].strip("[]").split(", ")
    assert "app1" in listed and "zookeeper" in listed, listed


def test_4_topics(boards):
    """A topic of three partitions with two copies each, through a broker."""
    kafka(boards, "4", 1, "topics", "--create", "--topic", "example_topic", "--partitions", 3, "--replication-factor", 2)
    everywhere(boards)
    for version, number in (("4", 2), ("2.3", 3)):
        said = kafka(boards, version, number, "topics", "--describe", "--topic", "example_topic")
        assert re.search(r"PartitionCount: ?3\s+ReplicationFactor: ?2\b", said), said
        rows = re.findall(r"Partition: (\d)\s+Leader: (\d)\s+Replicas: (\d),(\d)\s+Isr: (\d),(\d)", said)
        assert len(rows) == 3, said
        assert {row[1] for row in rows} == {"1", "2", "3"} and all(row[1] == row[2] for row in rows), said


def test_5_lines_arrive(boards):
    """What the console producer is given at broker 1, the console consumer prints at broker 2."""
    lines = [f"line {number}" for number in range(30)]
    kafka(boards, "4", 1, "console-producer", "--topic", "example_topic", *PATIENT, text="".join(f"{line}\n" for line in lines))
    limits = ["--from-beginning", "--max-messages", 30, "--timeout-ms", 60000]
    got = kafka(boards, "2.3", 2, "console-consumer", "--topic", "example_topic", "--group", "readers", *limits)
    assert sorted(got.splitlines()) == sorted(lines)


def test_6_topics_in_the_tree(boards):
    """The shell lists both topics, and the assignment as JSON in Kafka's shape."""
    assert zookeeper(2, "ls", "/brokers/topics")[-1] == "[__consumer_offsets, example_topic]"
    said = json.loads(zookeeper(3, "get", "/brokers/topics/example_topic")[-1])
    assert set(said) == {"partitions", "topic_id", "adding_replicas", "removing_replicas", "version"} and said["version"] == 3
    partitions = said["partitions"]
    assert set(partitions) == {"0", "1", "2"} and said["adding_replicas"] == {} and said["removing_replicas"] == {}
    assert all(len(set(replicas)) == 2 and set(replicas) <= {1, 2, 3} for replicas in partitions.values())
    assert sorted(replicas[0] for replicas in partitions.values()) == [1, 2, 3]


def test_4_topics_by_zookeeper(boards):
    """The same through `--zookeeper`: the old tool only writes znodes, and the brokers make the topic."""
    servers = ",".join(f"{address(number)}:2181" for number in (1, 2, 3))
    wanted = ["--topic", "old_topic", "--partitions", "3", "--replication-factor", "2"]
    outcome = boards.tools["2.3"].run("topics", "--zookeeper", servers, "--create", *wanted)
    assert outcome.code == 0 and "Created topic old_topic" in outcome.out, outcome
    # It is an error of the tool while there is no such topic.
    ask = ["--bootstrap-server", f"{address(2)}:9092", "--describe", "--topic", "old_topic"]
    described = lambda: boards.tools["4"].run("topics", *ask).out  # noqa: E731
    led = lambda: len(re.findall(r"Leader: [123]\b.*Isr: \d,\d", described())) == 3  # noqa: E731
    assert eventually(led, 60), described()


def test_11_two_doors(boards):
    """mosquitto_pub at one board, a Kafka consumer at another; a subscriber at the third sees it as well."""
    command = ["mosquitto_sub", "-d", "-h", address(3), "-t", "house/#", "-q", "1", "-C", "5", "-W", "150", "-v"]
    listener = subprocess.Popen(["stdbuf", "-oL", *command], stdout=subprocess.PIPE, text=True)
    assert any(line.startswith("Subscribed") for line in listener.stdout), "mosquitto_sub is not subscribed"
    hello = lambda: raw((address(3), 8080), b"GET /status HTTP/1.1\r\nConnection: close\r\n\r\n").decode()  # noqa: E731
    assert eventually(lambda: re.search(r'"mqtt": {"connections": 1,', hello()), 20), hello()
    for number in range(5):
        done = subprocess.run(["mosquitto_pub", "-h", address(1), "-q", "1", "-t", "house/kitchen", "-m", f"{number} degrees"], timeout=60)
        assert done.returncode == 0
    got = kafka(boards, "4", 2, "console-consumer", "--topic", "mqtt", "--from-beginning", "--max-messages", 5, "--timeout-ms", 60000)
    expected = [f"{number} degrees" for number in range(5)]
    assert got.splitlines() == expected
    # What it says of its packets lies between them.
    heard = [line.rstrip("\n") for line in listener.stdout if line.startswith("house/")]
    assert heard == [f"house/kitchen {line}" for line in expected]
    listener.wait(60)


def test_7_one_broker_dies(boards):
    """A follower in sync becomes leader, producers and consumers go on, and so does the tree."""
    said = kafka(boards, "4", 1, "topics", "--describe", "--topic", "example_topic")
    leaders = {row[0]: int(row[1]) for row in re.findall(r"Partition: (\d)\s+Leader: (\d)", said)}
    dead = leaders["0"]
    alive = [number for number in (1, 2, 3) if number != dead]
    lines = [f"after {number}" for number in range(20)]

    def produce():
        text = "".join(f"{line}\n" for line in lines)
        kafka(boards, "2.3", alive[0], "console-producer", "--topic", "example_topic", *PATIENT, text=text)

    producer = threading.Thread(target=produce)
    boards.members[dead].kill()
    producer.start()
    producer.join(120)
    assert not producer.is_alive()
    described = lambda: kafka(boards, "4", alive[1], "topics", "--describe", "--topic", "example_topic")  # noqa: E731
    assert eventually(lambda: f"Leader: {dead}" not in described() and "Leader: none" not in described(), 60), described()
    limits = ["--from-beginning", "--max-messages", 50, "--timeout-ms", 60000]
    got = kafka(boards, "4", alive[1], "console-consumer", "--topic", "example_topic", *limits)
    assert sorted(got.splitlines()) == sorted([*lines, *(f"line {number}" for number in range(30))])
    assert "Created /app2" in zookeeper(alive[0], "create", "/app2", "still here")
    boards.restart(dead)
    assert zookeeper(dead, "get", "/app2")[-1] == "still here"
    assert eventually(lambda: len(re.findall(r"Isr: \d,\d", described())) == 3, 60), described()
