"""tern topic, group, produce and consume: what they print, what they exit with, and that stock clients agree."""

import json
import signal
import subprocess
import time

import pytest
from confluent_kafka import Consumer, Producer
from node import BINARY, eventually


def tern(node, *arguments, text=None, seconds=120, code=0):
    command = [BINARY, *arguments, "--bootstrap", node.kafka]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    assert ran.returncode == code, f"{command} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout if code == 0 else ran.stderr


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def notes(node):
    """A topic of three partitions with the numbers 1 to 100."""
    tern(node, "topic", "create", "notes", "--partitions", "3", "--config", "retention.ms=86400000")
    tern(node, "produce", "notes", text="".join(f"{number}\n" for number in range(1, 101)))
    return node


def test_topic_describe(notes):
    """describe shows partitions with offsets and what the topic itself sets; --configs tells every source."""
    shown = rows(tern(notes, "topic", "describe", "notes", "--json"))
    assert [row["partition"] for row in shown] == [0, 1, 2]
    assert sum(row["end"] - row["begin"] for row in shown) == 100
    assert all(row["in_sync"] == "1" for row in shown)
    assert "retention.ms=86400000" in tern(notes, "topic", "describe", "notes")
    configs = {row["config"]: row for row in rows(tern(notes, "topic", "describe", "notes", "--configs", "--json"))}
    assert configs["retention.ms"]["source"] == "topic"
    assert configs["cleanup.policy"]["source"].startswith("default")
    assert "records" in tern(notes, "topic", "list", "--long").lower()


def test_sizes_and_truncation(node):
    """describe tells how much is on the disk, truncate takes the oldest records away."""
    tern(node, "produce", "shrinks", "-p", "0", text="x" * 1000 + "\n" + "kept\n")
    assert rows(tern(node, "topic", "describe", "shrinks", "--json"))[0]["size"] > 1000
    assert {row["topic"]: row["size"] for row in rows(tern(node, "topic", "list", "--json"))}["shrinks"] > 1000
    tern(node, "topic", "truncate", "shrinks", "--before", "1", "-p", "0")
    assert tern(node, "consume", "shrinks", "--exit") == "kept\n"
    assert rows(tern(node, "topic", "describe", "shrinks", "--json"))[0]["begin"] == 1


def test_topic_mistakes_say_what_to_do(notes):
    """A name twice, a name that is not there, partitions taken away, a config that is none: a sentence each."""
    assert "--if-not-exists" in tern(notes, "topic", "create", "notes", code=1)
    assert "notes exists" in tern(notes, "topic", "create", "notes", "--if-not-exists")
    assert "tern topic list" in tern(notes, "topic", "describe", "absent", code=1)
    assert "never taken away" in tern(notes, "topic", "alter", "notes", "--partitions", "1", code=1)
    assert "INVALID_CONFIG" in tern(notes, "topic", "create", "bad", "--config", "retention.ms=soon", code=1)
    assert "nothing to change" in tern(notes, "topic", "alter", "notes", code=2)
    assert "could be created" in tern(notes, "topic", "create", "dry", "--dry-run")
    assert "dry" not in tern(notes, "topic", "list")


def test_topic_grows(node):
    """alter --partitions adds partitions that take records."""
    tern(node, "topic", "create", "grows", "--partitions", "1")
    tern(node, "topic", "alter", "grows", "--partitions", "4")
    tern(node, "produce", "grows", "--partition", "3", text="here\n")
    assert tern(node, "consume", "grows", "-p", "3", "--exit") == "here\n"


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4"])
def test_produce_compressed(node, compression):
    """A stock client reads every codec that produce writes."""
    topic = f"packed-{compression}"
    lines = [f"{compression} line {number} " + "x" * 100 for number in range(500)]
    tern(node, "produce", topic, "-z", compression, "-H", "from=cli", "-k", "same", text="".join(f"{line}\n" for line in lines))
    consumer = Consumer({"bootstrap.servers": node.kafka, "group.id": f"g-{topic}", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    got, deadline = [], time.monotonic() + 60
    while len(got) < len(lines) and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            assert message.key() == b"same" and message.headers() == [("from", b"cli")]
            got.append(message.value().decode())
    consumer.close()
    assert got == lines


def test_formats_round_trip(node):
    """JSON lines out and in, hex, keys, tombstones and headers: a copy is equal to the original."""
    producer = Producer({"bootstrap.servers": node.kafka})
    producer.produce("origin", b"plain", key=b"k1", headers=[("h", b"1")])
    producer.produce("origin", bytes(range(256)), key=b"\xff\x00")
    producer.produce("origin", None, key=b"gone")
    producer.produce("origin", "grün".encode())
    assert producer.flush(60) == 0
    original = tern(node, "consume", "origin", "--exit", "-f", "json")
    tern(node, "produce", "copy", "-f", "json", text=original)
    copy = tern(node, "consume", "copy", "--exit", "-f", "json")
    assert [{**row, "topic": "origin"} for row in rows(copy)] == rows(original)
    assert rows(copy)[2]["value"] is None and rows(copy)[0]["headers"] == [{"key": "h", "value": "1"}]
    assert tern(node, "consume", "origin", "--exit", "-f", "hex", "-K", ":").splitlines()[1] == "ff00:" + bytes(range(256)).hex()
    tern(node, "produce", "copy", "-f", "hex", "-K", ":", text="6b:00ff\n")
    assert rows(tern(node, "consume", "copy", "-o", "-1", "--exit", "-f", "json"))[0]["value"] == {"hex": "00ff"}
    tern(node, "produce", "copy", "-Z", "-K", ":", text="gone:\n")
    assert tern(node, "consume", "copy", "-o", "-1", "--exit", "-f", "%k %S|%T|%%\\n").startswith("gone -1|")


def test_consume_places(notes):
    """-o takes a beginning, an end, an offset, so many before the end, and a time; -c and -p bound it."""
    assert len(tern(notes, "consume", "notes", "--exit").split()) == 100
    assert tern(notes, "consume", "notes", "--exit", "-o", "end") == ""
    begin = tern(notes, "consume", "notes", "--exit", "-o", "@-1h").split()
    assert len(begin) == 100
    assert tern(notes, "consume", "notes", "--exit", "-o", "@2999-01-01") == ""
    largest = max(rows(tern(notes, "topic", "describe", "notes", "--json")), key=lambda row: row["end"])
    last = tern(notes, "consume", "notes", "--exit", "-p", str(largest["partition"]), "-o", "-3", "-f", "%o\\n").split()
    assert [int(offset) for offset in last] == [largest["end"] - 3, largest["end"] - 2, largest["end"] - 1]
    assert len(tern(notes, "consume", "notes", "-c", "7").split()) == 7
    assert "allowed" in tern(notes, "consume", "notes", "-o", "middle", code=2)
    assert "0 to 2" in tern(notes, "consume", "notes", "-p", "9", code=2)
    assert "tern topic create" in tern(notes, "consume", "absent", code=1)


def test_produce_is_honest(node):
    """A bad line is exit code 1, with what is acknowledged and which line it was; what came before it is there."""
    said = tern(node, "produce", "honest", "-K", ":", text="a:1\nb:2\nnokey\nc:3\n", code=1)
    assert "2 records are acknowledged" in said and "line 3" in said
    assert sorted(tern(node, "consume", "honest", "--exit").split()) == ["1", "2"]


def test_produce_survives_a_restart(own_node):
    """A node that is killed while a pipe is open loses no line and repeats none."""
    command = [BINARY, "produce", "pipe", "--verbose", "--bootstrap", own_node.kafka]
    producer = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def has_begun():
        consume = [BINARY, "consume", "pipe", "--exit", "--bootstrap", own_node.kafka]
        return "0" in subprocess.run(consume, capture_output=True, text=True, timeout=120).stdout.split()

    for number in range(40):
        producer.stdin.write(f"{number}\n")
        producer.stdin.flush()
        if number == 10:
            # A node that is not there when the command begins is another story.
            assert eventually(has_begun), producer.poll()
        if number == 20:
            own_node.kill()
            own_node.start()
        time.sleep(0.01)
    producer.stdin.close()
    assert producer.wait(120) == 0, producer.stderr.read()
    assert sorted(map(int, tern(own_node, "consume", "pipe", "--exit").split())) == list(range(40))


def test_nobody_there(tmp_path):
    """A closed port is named with both keys that decide it."""
    ran = subprocess.run([BINARY, "topic", "list", "--bootstrap", "127.0.0.1:1"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 1
    assert "127.0.0.1:1" in ran.stderr and "listeners" in ran.stderr and "tern serve" in ran.stderr


def test_groups(notes):
    """A stock consumer's group is listed, described with lag, reset by every way, and deleted."""
    consumer = Consumer({"bootstrap.servers": notes.kafka, "group.id": "dash", "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe(["notes"])
    seen, deadline = 0, time.monotonic() + 60
    while seen < 100 and time.monotonic() < deadline:
        seen += len(consumer.consume(100, 1.0))
    consumer.commit(asynchronous=False)
    members = rows(tern(notes, "group", "describe", "dash", "--members", "--json"))
    assert len(members) == 1 and members[0]["partitions"] == 3
    assert "describe" in tern(notes, "group", "reset", "dash", "--topic", "notes", "--to-earliest", code=1)
    assert "NON_EMPTY_GROUP" in tern(notes, "group", "delete", "dash", code=1)
    consumer.close()
    assert seen == 100

    def listed():
        return {row["group"]: row for row in rows(tern(notes, "group", "list", "--json"))}["dash"]

    assert eventually(lambda: listed()["state"] == "Empty"), listed()
    assert listed()["lag"] == 0

    def lag():
        return sum(row["lag"] for row in rows(tern(notes, "group", "describe", "dash", "--json")))

    reset = ("group", "reset", "dash", "--topic", "notes")
    tern(notes, *reset, "--to-earliest")
    assert lag() == 0, "without --execute nothing changes"
    for how, expected in [
        (["--to-earliest"], 100), (["--to-latest"], 0), (["--to-datetime", "-1h"], 100),
        (["--to-datetime", "2999-01-01T00:00:00Z"], 0), (["--shift-by", "-1000000"], 100), (["--shift-by", "1000000"], 0),
    ]:
        tern(notes, *reset, *how, "--execute")
        assert lag() == expected, how
    tern(notes, *reset, "--to-offset", "0", "--execute")
    assert lag() == 100
    tern(notes, "group", "delete", "dash")
    assert "GROUP_ID_NOT_FOUND" in tern(notes, "group", "describe", "dash", code=1)


def test_consume_in_a_group(node):
    """Two members share a topic, commit what they printed, and leave at SIGTERM; the next one goes on from there."""
    tern(node, "topic", "create", "shared", "--partitions", "4")
    command = [BINARY, "consume", "shared", "--group", "pair", "--bootstrap", node.kafka]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        def both_read():
            found = subprocess.run([BINARY, "group", "describe", "pair", "--members", "--json", "--bootstrap", node.kafka],
                                   capture_output=True, text=True, timeout=120).stdout
            return sorted(row["partitions"] for row in rows(found)) == [2, 2]

        assert eventually(both_read)
        for partition in range(4):
            tern(node, "produce", "shared", "-p", str(partition), text=f"p{partition}\n")
        assert eventually(lambda: {row["lag"] for row in rows(tern(node, "group", "describe", "pair", "--json"))} == {0})
        for member in pair:
            member.send_signal(signal.SIGTERM)
        printed = [member.communicate(timeout=60)[0].split() for member in pair]
    finally:
        for member in pair:
            member.kill()
    assert sorted(sum(printed, [])) == ["p0", "p1", "p2", "p3"] and all(printed)
    assert [member.returncode for member in pair] == [0, 0]
    tern(node, "produce", "shared", text="later\n")
    assert tern(node, "consume", "shared", "--group", "pair", "--exit") == "later\n"


def test_status_tells_everything(notes):
    """status shows the broker and that it is the controller, every topic with size, every group with its lag."""
    tern(notes, "consume", "notes", "--group", "watched", "--exit")
    command = [BINARY, "status", "--http", notes.http]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert "controller" in ran.stdout and "notes" in ran.stdout and "watched" in ran.stdout
    whole = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120).stdout)
    assert whole["nodes"][0]["ready"] is True
    topic = {row["topic"]: row for row in whole["topics"]}["notes"]
    assert (topic["partitions"], topic["replicas"]) == (3, 1) and topic["size"] > 0
    assert {row["group"]: row["lag"] for row in whole["groups"]}["watched"] == 0


def test_alter_topic(node):
    """alter sets and takes away configurations, in force at once."""
    tern(node, "topic", "create", "altered")

    def value():
        shown = rows(tern(node, "topic", "describe", "altered", "--configs", "--json"))
        return {row["config"]: (row["value"], row["source"]) for row in shown}["retention.ms"]

    tern(node, "topic", "alter", "altered", "--config", "retention.ms=12345")
    assert value() == ("12345", "topic")
    assert "retention.ms" in tern(node, "topic", "alter", "altered", "--config", "retention.ms=soon", code=1)
    tern(node, "topic", "alter", "altered", "--config", "retention.ms=1", "--dry-run")
    assert value() == ("12345", "topic")
    tern(node, "topic", "alter", "altered", "--delete-config", "retention.ms")
    assert value()[1] != "topic"
