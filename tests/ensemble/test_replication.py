"""Records on three boards: whoever dies, stalls or comes back, what a producer was told to be durable is there, once."""

import collections
import signal
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from ensemble import running
from node import eventually

PARTITIONS = 6
# Who fails is soon noticed.
SOON = ["broker.session.timeout.ms=1500", "replica.lag.time.max.ms=3000"]


@pytest.fixture
def boards(tmp_path):
    """Three boards that take a silent broker for gone after 1.5 s."""
    with running(tmp_path, *SOON, "min.insync.replicas=2") as nodes:
        yield nodes


def bootstrap(boards):
    return ",".join(member.kafka for member in boards.members.values())


def states(boards, topic):
    alive = boards.alive()[0]
    metadata = AdminClient({"bootstrap.servers": boards.members[alive].kafka}).list_topics(topic, timeout=10)
    return metadata.topics[topic].partitions.values()


def is_whole(boards, topic):
    found = states(boards, topic)  # none while the board that is asked has not heard of the topic
    return len(found) > 0 and all(len(partition.isrs) == 3 and partition.leader >= 0 for partition in found)


def create(boards, topic, partitions=PARTITIONS):
    admin = AdminClient({"bootstrap.servers": bootstrap(boards)})
    admin.create_topics([NewTopic(topic, partitions, 3)])[topic].result(20)
    assert eventually(lambda: is_whole(boards, topic), 60)


class Numbers(threading.Thread):
    """Produces numbers until it is told to stop, and remembers which were acknowledged."""

    def __init__(self, boards, topic):
        super().__init__(daemon=True)
        self.topic = topic
        self.acknowledged = []
        self.refused = []
        self.is_wanted = True
        self.producer = Producer({
            "bootstrap.servers": bootstrap(boards),
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": 90000,
        })
        self.start()

    def run(self):
        number = 0
        while self.is_wanted:
            key = b"%d" % (number % 50)
            self.producer.produce(self.topic, b"%d" % number, key, on_delivery=self.delivered)
            self.producer.poll(0)
            number += 1
            time.sleep(0.001)
        self.producer.flush(90)

    def delivered(self, error, message):
        if error:
            self.refused.append(str(error))
        else:
            self.acknowledged.append((message.partition(), message.offset(), int(message.value())))

    def end(self):
        self.is_wanted = False
        self.join(120)
        assert not self.is_alive() and not self.refused, self.refused[:3]
        return self.acknowledged


def content(boards, number, topic):
    """Every record of a topic, by partition and offset, asked of the cluster through one board."""
    consumer = Consumer({
        "bootstrap.servers": boards.members[number].kafka,
        "group.id": f"reader-{number}",
        "enable.auto.commit": False,
        "enable.partition.eof": False,
    })
    found = {}
    for partition in range(len(states(boards, topic))):
        here = TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(here, timeout=60)
        consumer.assign([here])
        at = 0
        while at < end:
            for message in consumer.consume(500, timeout=0.2):
                assert not message.error(), message.error()
                found[(partition, message.offset())] = message.value()
                at = message.offset() + 1
    consumer.close()
    return found


def check(boards, topic, acknowledged):
    """Every acknowledged number is where its producer was told, none is there twice, each key's are in order."""
    found = content(boards, boards.alive()[0], topic)
    for partition, offset, number in acknowledged:
        assert found.get((partition, offset)) == b"%d" % number, (partition, offset, number)
    numbers = [int(value) for value in found.values()]
    assert len(numbers) == len(set(numbers)), "a record is there twice"
    last = collections.defaultdict(lambda: -1)
    for (_, _), value in sorted(found.items()):
        key = int(value) % 50
        assert int(value) > last[key], f"{value} comes after {last[key]}"
        last[key] = int(value)


def test_every_board_dies_once(boards):
    """kill -9 of each board in turn, the controller among them, under an idempotent producer."""
    create(boards, "numbers")
    numbers = Numbers(boards, "numbers")
    for number in (1, 2, 3):
        time.sleep(1.5)
        boards.members[number].kill()
        assert eventually(lambda: all(p.leader not in (-1, number) for p in states(boards, "numbers")), 60), number
        time.sleep(1)
        boards.members[number].start()
        boards.members[number].ready()
        assert eventually(lambda: is_whole(boards, "numbers"), 90), [vars(p) for p in states(boards, "numbers")]
    acknowledged = numbers.end()
    assert len(acknowledged) > 1000
    check(boards, "numbers", acknowledged)


def test_a_board_stalls(boards):
    """SIGSTOP for longer than a session: others lead meanwhile, and the board that wakes up follows."""
    create(boards, "numbers")
    numbers = Numbers(boards, "numbers")
    time.sleep(1.5)
    stalled = next(iter(states(boards, "numbers"))).leader
    awake = next(number for number in boards.members if number != stalled)
    boards.members[stalled].process.send_signal(signal.SIGSTOP)

    def leaders():
        metadata = AdminClient({"bootstrap.servers": boards.members[awake].kafka}).list_topics("numbers", timeout=10)
        return {partition.leader for partition in metadata.topics["numbers"].partitions.values()}

    try:
        assert eventually(lambda: stalled not in leaders() and -1 not in leaders(), 60), leaders()
    finally:
        boards.members[stalled].process.send_signal(signal.SIGCONT)
    assert eventually(lambda: is_whole(boards, "numbers"), 90), [vars(p) for p in states(boards, "numbers")]
    check(boards, "numbers", numbers.end())


def test_a_sensor_does_not_notice(boards):
    """A sensor publishes on one board while another dies that leads: no message is lost, doubled or overtaken, and a
    subscriber on the third board hears them."""
    create(boards, "mqtt", 1)
    leader = next(iter(states(boards, "mqtt"))).leader
    home, other = [number for number in boards.members if number != leader]
    heard = []
    listener = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "listener")
    listener.on_message = lambda _client, _data, message: heard.append(int(message.payload))
    subscribed = threading.Event()
    listener.on_subscribe = lambda *_: subscribed.set()
    listener.connect(*boards.members[other].mqtt)
    listener.subscribe("sensor/#", 1)
    listener.loop_start()
    assert subscribed.wait(30)  # what is published before, it need not hear
    sensor = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "sensor")
    sensor.connect(*boards.members[home].mqtt)
    sensor.loop_start()
    sent = []
    for number in range(600):
        sent.append(sensor.publish("sensor/1", b"%d" % number, 1))
        time.sleep(0.005)
        if number == 200:
            boards.members[leader].kill()
    for message in sent:
        message.wait_for_publish(60)
    assert all(message.is_published() for message in sent)
    sensor.loop_stop()
    found = content(boards, home, "mqtt")
    assert [int(value) for _, value in sorted(found.items())] == list(range(600))
    assert eventually(lambda: heard == list(range(600)), 60), heard[-5:]
    listener.loop_stop()
