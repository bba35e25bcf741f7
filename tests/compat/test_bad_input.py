"""Hostile bytes on every port: the protocol's own error or a closed connection, and nothing else disturbed."""

import random
import socket
import struct
import subprocess
import time

import pytest
from node import Node, raw


def mqtt_works(node):
    host, port = node.mqtt
    return subprocess.run(["mosquitto_pub", "-h", host, "-p", str(port), "-t", "alive", "-m", "x", "-q", "1"], timeout=60).returncode == 0


def kafka_works(node):
    # ApiVersions v0 with correlation id 7
    answer = raw(node.kafka, struct.pack(">ihhih", 10, 18, 0, 7, -1), seconds=60, enough=8)
    return answer[4:8] == struct.pack(">i", 7)


@pytest.fixture(autouse=True)
def everybody_else_is_served(node):
    """After each attack both doors still work and memory stays inside the budget."""
    yield
    assert kafka_works(node)
    assert mqtt_works(node)
    assert node.resident_bytes() < (64 + 8) << 20


@pytest.mark.parametrize("length", [-1, 0x7FFFFFFF, -(2**31), 500 * 1024 * 1024])
def test_kafka_frame_length(node, length):
    """An impossible frame length closes the connection at once and costs nothing."""
    assert raw(node.kafka, struct.pack(">i", length) + b"x" * 100, seconds=3) == b""


def test_kafka_array_of_two_billion(node):
    """Metadata with 2^31-1 topics: no allocation, an error or a close."""
    body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0x7FFFFFFF)
    raw(node.kafka, struct.pack(">i", len(body)) + body, seconds=2)


def test_kafka_unknown_api_and_version(node):
    """An unknown API closes; ApiVersions of the future is answered in version 0 with error 35."""
    body = struct.pack(">hhih", 9999, 0, 1, -1)
    assert raw(node.kafka, struct.pack(">i", len(body)) + body, seconds=3) == b""
    body = struct.pack(">hhih", 18, 99, 5, -1)
    answer = raw(node.kafka, struct.pack(">i", len(body)) + body, seconds=60, enough=10)
    assert answer[4:10] == struct.pack(">ih", 5, 35)


def test_garbage_everywhere(node):
    """Random bytes on each port, many connections, some of them slow and half open."""
    rng = random.Random(11)
    host_http, port_http = node.http.rsplit(":", 1)
    host_kafka, port_kafka = node.kafka.rsplit(":", 1)
    addresses = [(host_kafka, int(port_kafka)), node.mqtt, (host_http, int(port_http))]
    left_open = []
    for round in range(300):
        connection = socket.create_connection(addresses[round % 3], timeout=60)
        try:
            connection.sendall(rng.randbytes(rng.randrange(1, 400)))
        except ConnectionError:
            pass
        if round % 4 == 0:
            left_open.append(connection)
        else:
            connection.close()
    for connection in left_open:
        connection.close()


def test_byte_by_byte(node):
    """A request that arrives byte by byte is answered like any other."""
    host, port = node.kafka.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        for byte in struct.pack(">ihhih", 10, 18, 0, 9, -1):
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        assert connection.recv(8)[4:8] == struct.pack(">i", 9)


def test_half_requests(tmp_path):
    """Five hundred connections that each send half a large request stay within the budget, and others are served."""
    node = Node(tmp_path, "memory.budget=64MiB")
    host, port = node.kafka.rsplit(":", 1)
    connections = []
    for _ in range(500):
        connection = socket.create_connection((host, int(port)), timeout=60)
        connection.setblocking(False)
        header = struct.pack(">ihhih", 1_000_000, 0, 7, 1, -1)
        try:
            connection.send(header + b"x" * 500_000)
        except (BlockingIOError, ConnectionError):
            pass
        connections.append(connection)
    time.sleep(1)
    assert node.resident_bytes() < (64 + 8) << 20
    assert kafka_works(node)
    assert mqtt_works(node)
    for connection in connections:
        connection.close()
    assert node.stop() == 0


def test_connection_storm(node):
    """A thousand connections, opened and dropped as fast as the machine can."""
    host, port = node.kafka.rsplit(":", 1)
    for _ in range(1000):
        socket.create_connection((host, int(port)), timeout=60).close()


def test_mqtt_server_packets_from_a_client(node):
    """CONNACK, UNSUBACK and reserved types from a client close the connection."""
    for first in (0x20, 0xB0, 0x90, 0xD0, 0x00, 0xF0):
        raw(node.mqtt, bytes([first, 0x02, 0x00, 0x00]), seconds=2)
    connect = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"
    for first in (0x20, 0xB0, 0x90, 0xD0, 0x00):
        raw(node.mqtt, connect + bytes([first, 0x02, 0x00, 0x00]), seconds=2)


def test_diagnostics_are_rare(node):
    """All of the above has left few lines: at most one a second."""
    assert node.diagnostics().count("\n") < 200
