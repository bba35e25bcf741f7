"""kill -9 at random moments, on the real disk and on one that forgets unsynced writes: nothing acknowledged is lost.

TERN_KILLS=N sets how often each node is killed (25 unless told otherwise).
"""

import os
import random
import socket
import struct
import subprocess
import threading
import time

import pytest
from confluent_kafka import Producer
from node import Node

KILLS = int(os.environ.get("TERN_KILLS", "25"))


class Publisher(threading.Thread):
    """Publishes numbered messages at QoS 1, twenty in flight, and remembers which were acknowledged."""

    def __init__(self, node, name, topic):
        super().__init__(daemon=True)
        self.node, self.name, self.topic = node, name, topic
        self.acknowledged, self.number, self.stopping = set(), 0, False

    def run(self):
        while not self.stopping:
            try:
                with socket.create_connection(self.node.mqtt, timeout=2) as connection:
                    self.session(connection)
            except (OSError, EOFError):
                time.sleep(0.01)

    def session(self, connection):
        name = self.name.encode()
        connection.sendall(b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack(">H", len(name)) + name)
        stream = connection.makefile("rb")
        assert read(stream, 4)[3] == 0
        waiting, free = {}, list(range(1, 21))
        while not self.stopping or waiting:
            out = b""
            while free and not self.stopping:
                packet_id = free.pop()
                waiting[packet_id] = self.number
                body = struct.pack(">H", len(self.topic)) + self.topic.encode() + struct.pack(">H", packet_id) + f"{self.name}:{self.number}".encode()
                out += bytes([0x32, len(body)]) + body
                self.number += 1
            connection.sendall(out)
            packet_id = struct.unpack(">H", read(stream, 4)[2:])[0]
            self.acknowledged.add(waiting.pop(packet_id))
            free.append(packet_id)


def read(stream, count):
    got = stream.read(count)
    if len(got) < count:
        raise EOFError
    return got


@pytest.mark.parametrize("disk", [None, "discard"], ids=["real", "discard"])
def test_kill(tmp_path, disk):
    """Publishers and a Kafka producer go on over many kills; every acknowledged message is read back."""
    rng = random.Random(5)
    node = Node(tmp_path, "mqtt.map.0=crash/+ -> crash{1}", disk=disk)
    publishers = [Publisher(node, f"p{number}", f"crash/{number % 4}") for number in range(8)]
    produced = []
    producer = Producer({"bootstrap.servers": node.kafka, "enable.idempotence": True, "linger.ms": 1, "log_level": 0,
                         "reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 50, "retry.backoff.ms": 10,
                         "message.timeout.ms": 280000})
    for publisher in publishers:
        publisher.start()
    number = 0
    for _ in range(KILLS):
        until = time.monotonic() + rng.uniform(0.02, 0.4)
        while time.monotonic() < until:
            producer.produce("crash-kafka", str(number), partition=0,
                             on_delivery=lambda error, message: produced.append(message.value()) if error is None else None)
            number += 1
            producer.poll(0.001)
        node.kill()
        node.start()
    for publisher in publishers:
        publisher.stopping = True
    for publisher in publishers:
        publisher.join(60)
    producer.flush(120)
    assert sum(len(publisher.acknowledged) for publisher in publishers) > KILLS
    for publisher in publishers:
        topic = "crash" + publisher.topic.split("/")[1]
        kept = values(node, topic)
        lost = {f"{publisher.name}:{one}" for one in publisher.acknowledged} - set(kept)
        assert not lost, f"{len(lost)} acknowledged messages lost, one is {min(lost)}; {node.diagnostics()[-3000:]}"
    kept = values(node, "crash-kafka")
    assert not set(value.decode() for value in produced) - set(kept)
    assert len(kept) == len(set(kept)), "an idempotent producer's records were duplicated"
    assert node.stop() == 0


def values(node, topic):
    done = subprocess.run(["kcat", "-C", "-b", node.kafka, "-t", topic, "-e", "-q", "-m", "60", "-o", "beginning"],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
