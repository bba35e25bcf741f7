"""The command line as a new user meets it: exit codes, sentences, and the doors' everyday commands."""

import os
import subprocess

from node import BINARY, Node, eventually


def tern(*arguments, text=None, seconds=120, environment=None):
    return subprocess.run([BINARY, *arguments], input=text, capture_output=True, text=True, timeout=seconds, env=environment)


def test_help_shows_examples():
    """--help of each command shows an example."""
    for command in ("serve", "demo", "check-config", "status", "topic", "group", "produce", "consume", "zk", "completions", "inspect", "bench"):
        shown = tern(command, "--help")
        assert shown.returncode == 0
        assert "xample" in shown.stdout, command


def test_usage_errors_are_two():
    """A wrong command line and a wrong configuration are exit code 2."""
    assert tern("no-such-command").returncode == 2
    wrong = tern("check-config", "--set", "num.partitions=many")
    assert wrong.returncode == 2
    assert "num.partitions" in wrong.stderr and "many" in wrong.stderr


def test_port_taken(own_node, tmp_path):
    """A port in use is one sentence and exit code 1."""
    second = tern("serve", "--set", f"dataDir={tmp_path}/second", "--set", f"listeners=PLAINTEXT://{own_node.kafka}")
    assert second.returncode == 1
    assert "already in use" in second.stderr


def test_second_process_on_a_directory(own_node):
    """A second node on the same directory is refused and harms nothing."""
    second = tern("serve", "--set", f"dataDir={own_node.directory}/coordinator", "--set", f"log.dirs={own_node.directory}/topics",
                  "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "mqtt.listeners=tcp://127.0.0.1:0", "--set", "http.listener=127.0.0.1:0")
    assert second.returncode == 1
    assert "another" in second.stderr or "in use" in second.stderr
    assert own_node.process.poll() is None


def test_everyday_commands(own_node):
    """topic create, produce, consume, list, describe, delete, without any other client."""
    bootstrap = ("--bootstrap", own_node.kafka)
    assert tern("topic", "create", "notes", "--partitions", "2", *bootstrap).returncode == 0
    assert "notes" in tern("topic", "list", *bootstrap).stdout
    assert tern("produce", "notes", *bootstrap, text="one\ntwo\nthree\n").returncode == 0
    shown = tern("consume", "notes", "-o", "beginning", "-c", "3", *bootstrap)
    assert sorted(shown.stdout.split()) == ["one", "three", "two"]
    assert tern("topic", "delete", "notes", *bootstrap).returncode == 0
    assert "notes" not in tern("topic", "list", *bootstrap).stdout


def test_configured_topics_exist(tmp_path):
    """create.topics (KAFKA_CREATE_TOPICS) makes topics after start, before any client asks."""
    node = Node(tmp_path, "create.topics=made:2:1")
    assert eventually(lambda: os.path.isdir(f"{tmp_path}/topics/made-1"))
    assert node.stop() == 0


def test_inspect_names_damage(tmp_path):
    """inspect shows a segment's batches, and the place of a flipped bit."""
    node = Node(tmp_path)
    assert tern("produce", "seg", "--bootstrap", node.kafka, text="a\nb\n").returncode == 0
    assert node.stop() == 0
    segment = f"{tmp_path}/topics/seg-0/00000000000000000000.log"
    assert tern("inspect", segment).returncode == 0
    with open(segment, "r+b") as file:
        file.seek(70)
        byte = file.read(1)
        file.seek(70)
        file.write(bytes([byte[0] ^ 1]))
    shown = tern("inspect", segment)
    assert shown.returncode != 0
    assert "CRC" in shown.stdout + shown.stderr


def test_demo_loses_nothing():
    """tern demo kills, pauses and cuts off its nodes while sensors publish, and ends with the verdict."""
    shown = tern("demo", "--seconds", "12", seconds=280, environment={**os.environ, "TERM": "dumb"})
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for word in ("is killed", "is paused", "is cut off", "verdict: nothing was lost", "lost=0 doubled=0 overtaken=0"):
        assert word in shown.stdout, shown.stdout


def test_demo_of_one_node():
    """With one node it is killed in the middle."""
    shown = tern("demo", "--nodes", "1", "--seconds", "6", seconds=200)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "is killed" in shown.stdout and "lost=0 doubled=0 overtaken=0" in shown.stdout, shown.stdout


def test_inspect_knows_every_file(tmp_path):
    """inspect reads a whole data directory: quorum entries with their transactions, the journal, checkpoints."""
    node = Node(tmp_path)
    assert tern("topic", "create", "looked-at", "--bootstrap", node.kafka).returncode == 0
    assert tern("produce", "looked-at", "--bootstrap", node.kafka, text="a\nb\n").returncode == 0
    node.kill()
    shown = tern("inspect", str(tmp_path))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "create /brokers/topics/looked-at" in shown.stdout
    assert "tern-checkpoint" in shown.stdout and "records of the journal from" in shown.stdout
    assert "half 0: generation" in shown.stdout
    assert "quorum-state" in shown.stdout and "nothing is broken" in shown.stdout
    journal = f"{tmp_path}/topics/.tern/journal"
    assert tern("inspect", journal, "--records").returncode == 0
