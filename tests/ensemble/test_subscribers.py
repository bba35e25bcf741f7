"""Live MQTT subscribers on three boards, of topics with fewer copies than there are boards: each hears all of it."""

import subprocess
import time

import paho.mqtt.client as mqtt
import pytest
from ensemble import running
from node import BINARY, eventually
from test_replication import SOON, bootstrap, states


@pytest.fixture
def boards(tmp_path):
    """Three boards that take a silent broker for gone after 1.5 s; one copy suffices to acknowledge."""
    with running(tmp_path, *SOON, "min.insync.replicas=1") as nodes:
        yield nodes


def create(boards, copies):
    """The topic of all sensors, one partition; its replicas, the leader first."""
    make = ["topic", "create", "mqtt", "--partitions", "1", "--replication-factor", str(copies)]
    subprocess.run([BINARY, *make, "--bootstrap", bootstrap(boards)], check=True, capture_output=True, timeout=60)
    wait_whole(boards, copies)
    state = next(iter(states(boards, "mqtt")))
    return [state.leader] + [number for number in state.replicas if number != state.leader]


def wait_whole(boards, copies):
    def is_whole():
        found = states(boards, "mqtt")  # none while the board that is asked has not heard of the topic
        return len(found) > 0 and all(p.leader >= 0 and len(p.isrs) == copies for p in found)

    assert eventually(is_whole, 60)


def listen(boards, number):
    """Mosquitto's own subscriber at a board, once it is subscribed."""
    host, port = boards.members[number].mqtt
    command = ["mosquitto_sub", "-d", "-h", host, "-p", str(port), "-q", "1", "-t", "sensor/#"]
    process = subprocess.Popen(["stdbuf", "-oL", *command], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("Subscribed"):
            return process
    raise AssertionError("mosquitto_sub is not subscribed")


def heard(process, count):
    """The next so many numbers that it has heard; what it says of its packets lies between them."""
    numbers = []
    for line in process.stdout:
        numbers += [int(line)] if line.strip().isdigit() else []
        if len(numbers) == count:
            break
    return numbers


def publish(boards, number, payloads, midway=lambda: None):
    """A sensor at a board, acknowledged to the last."""
    sensor = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor")
    sensor.connect(*boards.members[number].mqtt)
    sensor.loop_start()
    sent = []
    for payload in payloads:
        sent.append(sensor.publish("sensor/1", b"%d" % payload, 1))
        time.sleep(0.002)
        if len(sent) == len(payloads) // 2:
            midway()
    for message in sent:
        message.wait_for_publish(60)
    assert all(message.is_published() for message in sent)
    sensor.disconnect()
    sensor.loop_stop()


@pytest.mark.parametrize("copies", [1, 2])
def test_every_board_hears_it(boards, copies):
    """Each board's subscriber hears what is published at each board from its SUBACK on, without and with a copy."""
    create(boards, copies)
    listeners = [listen(boards, number) for number in boards.members]
    for turn, number in enumerate(boards.members):
        publish(boards, number, range(turn * 200, turn * 200 + 200))
    for listener in listeners:
        assert heard(listener, 600) == list(range(600))
        listener.kill()


def test_the_leader_dies(boards):
    """A subscriber on the board without a copy hears everything once and in order while the leader of two copies is killed,
    and comes back."""
    leader, other = create(boards, 2)
    without = next(number for number in boards.members if number not in (leader, other))
    listener = listen(boards, without)

    def kill():
        wait_whole(boards, 2)  # else nobody could take its place
        boards.members[leader].kill()

    publish(boards, without, range(600), midway=kill)
    assert heard(listener, 600) == list(range(600))
    boards.start(leader)
    boards.members[leader].ready()
    publish(boards, leader, range(600, 800))
    assert heard(listener, 200) == list(range(600, 800))
    listener.kill()


def test_the_only_copy_moves(boards):
    """The copy moves onto the subscriber's board and off it again, while a sensor publishes at a third."""
    (leader,) = create(boards, 1)
    home, third = [number for number in boards.members if number != leader]
    listener = listen(boards, home)

    def move(to):
        command = [BINARY, "topic", "reassign", "mqtt", "--to", str(to), "--wait", "--bootstrap", bootstrap(boards)]
        return lambda: subprocess.run(command, check=True, capture_output=True, timeout=120)

    publish(boards, third, range(400), midway=move(home))
    publish(boards, third, range(400, 800), midway=move(leader))
    assert heard(listener, 800) == list(range(800))
    listener.kill()
