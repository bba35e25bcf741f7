"""A disk that is full, read-only or wrong: refusals in the protocols' words, reads go on, and it recovers by itself."""

import os
import subprocess
import time

import kafka
import kafka.errors
import paho.mqtt.client as paho
import pytest
from node import BINARY, Node, eventually


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MiB of its own; needs root, as CI has."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True).returncode:
        if os.environ.get("CI") == "true":
            pytest.fail("cannot mount a tmpfs")
        pytest.skip("cannot mount a tmpfs without privileges")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place, leave):
    """Takes all room of the disk but `leave` bytes."""
    room = os.statvfs(place)
    with open(place / "filler", "wb") as filler:
        for _ in range(max(0, room.f_bavail * room.f_frsize - leave) // 65536):
            filler.write(b"f" * 65536)
    return place / "filler"


def test_full_disk(small_disk):
    """Produces are refused, consumers are served, and writing goes on when there is room again."""
    node = Node(small_disk)
    producer = kafka.KafkaProducer(bootstrap_servers=node.kafka, retries=0, enable_idempotence=False, acks="all")
    for number in range(10):
        producer.send("full", str(number).encode(), partition=0).get(60)
    filler = fill(small_disk, leave=2 << 20)

    refused, kept = None, 10
    for _ in range(200):
        try:
            producer.send("full", b"x" * 100_000, partition=0).get(60)
            kept += 1
        except kafka.errors.KafkaError as error:
            refused = error
            break
    assert isinstance(refused, kafka.errors.KafkaStorageError), refused

    reasons = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "v5", protocol=paho.MQTTv5)
    client.on_publish = lambda client, data, message, reason, properties: reasons.append(reason)
    client.connect(*node.mqtt)
    client.loop_start()
    client.publish("full/1", b"y" * 100_000, qos=1)
    assert eventually(lambda: reasons)
    assert reasons[0].value == 0x97
    client.loop_stop()

    assert len(read(node, "full", kept)) == kept
    filler.unlink()
    assert eventually(lambda: accepted(producer), seconds=90)
    assert len(read(node, "full", kept + 1)) == kept + 1
    assert node.stop() == 0


def test_start_on_a_full_disk(small_disk):
    """A node starts without a byte of room: it serves reads, refuses writes, deletes, and takes writes when it can."""
    node = Node(small_disk)
    producer = kafka.KafkaProducer(bootstrap_servers=node.kafka, retries=0, enable_idempotence=False, acks="all")
    for number in range(10):
        producer.send("full", str(number).encode(), partition=0).get(60)
        producer.send("large", b"z" * 100_000, partition=0).get(60)
    producer.close()
    node.kill()
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(b"f" * 4096) == 4096:
                pass
        except OSError:
            pass
    assert os.statvfs(small_disk).f_bavail == 0

    node.start()
    assert len(read(node, "full", 10)) == 10
    producer = kafka.KafkaProducer(bootstrap_servers=node.kafka, retries=0, enable_idempotence=False, acks="all")
    with pytest.raises(kafka.errors.KafkaStorageError):
        producer.send("full", b"x", partition=0).get(60)
    admin = kafka.KafkaAdminClient(bootstrap_servers=node.kafka)
    admin.delete_topics(["large"])
    assert eventually(lambda: not (small_disk / "topics" / "large-0").exists())
    filler.unlink()
    assert eventually(lambda: accepted(producer), seconds=90)
    assert len(read(node, "full", 11)) == 11
    assert node.stop() == 0


def accepted(producer):
    try:
        producer.send("full", b"again", partition=0).get(60)
        return True
    except kafka.errors.KafkaError:
        time.sleep(0.2)
        return False


def read(node, topic, count):
    words = ["kcat", "-C", "-b", node.kafka, "-t", topic, "-c", str(count), "-o", "beginning", "-f", "%S\n", "-q", "-m", "60"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    return done.stdout.split()


def test_read_only_directory(small_disk):
    """A node whose disk is read-only says so in one sentence and ends with exit code 1."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = subprocess.run([BINARY, "serve", "--set", f"dataDir={small_disk}/coordinator", "--set", f"log.dirs={small_disk}/topics",
                           "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set", "mqtt.listeners=tcp://127.0.0.1:0",
                           "--set", "http.listener=127.0.0.1:0"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "read-only" in done.stderr.lower()
