"""Stock clients at work on boards: each is a thread that notes in the history what it was told, until it is ended.

librdkafka's idempotent producer, its consumers as a group that commits, paho at QoS 1, kazoo with registers.
"""

import random
import threading
import time

import paho.mqtt.client as mqtt
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, KazooException
from kazoo.handlers.threading import KazooTimeoutError
from network import address

TOPIC, SENSORS_TOPIC, GROUP = "history", "sensors", "judges"
# Between two messages of a sensor, and two records of a producer.
SENSOR_SECONDS, RECORD_SECONDS = 0.02, 0.01
# What clients may still need once everything is mended.
END_SECONDS = 120


class Client(threading.Thread):
    """A thread with a history; what it throws is a broken rule."""

    def __init__(self, boards, history, name):
        super().__init__(daemon=True, name=name)
        self.boards, self.history = boards, history
        self.is_wanted = True
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001: whatever it is, the test must know
            self.history.breaks(f"{self.name}: {error!r}")

    def end(self):
        self.is_wanted = False
        self.join(END_SECONDS)
        if self.is_alive():
            self.history.breaks(f"{self.name}: it has not ended {END_SECONDS} s after everything was mended")


class IdempotentProducer(Client):
    """Numbers, a few partitions at once; every one of them must be acknowledged in the end."""

    def work(self):
        producer = Producer({
            "bootstrap.servers": self.boards.kafka,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": 600_000,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
            "error_cb": self.failed,
        })
        number = 0
        while self.is_wanted:
            value = f"{self.name} {number}"
            try:
                producer.produce(TOPIC, value.encode(), str(number % 31).encode(), on_delivery=self.delivered)
                number += 1
            except BufferError:
                pass
            producer.poll(0)
            time.sleep(RECORD_SECONDS)
        left = producer.flush(END_SECONDS - 20)
        if left:
            self.history.breaks(f"{self.name}: {left} records are neither acknowledged nor refused")

    def failed(self, error):
        if error.fatal():
            self.history.breaks(f"{self.name}: {error}")

    def delivered(self, error, message):
        if error:
            self.history.breaks(f"{self.name}: {message.value()!r} was refused: {error}")
        else:
            self.history.produced((message.topic(), message.partition(), message.offset()), message.value())


class GroupMember(Client):
    """Reads and commits; leaves and joins again now and then."""

    def __init__(self, boards, history, name, seed):
        self.chance = random.Random(seed)
        super().__init__(boards, history, name)

    def work(self):
        while self.is_wanted:
            self.belong(time.monotonic() + self.chance.uniform(15, 45))

    def belong(self, until):
        consumer = Consumer({
            "bootstrap.servers": self.boards.kafka,
            "group.id": GROUP,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        })
        consumer.subscribe([TOPIC], on_assign=self.assigned)
        unsaid = 0
        while self.is_wanted and time.monotonic() < until:
            for message in consumer.consume(100, timeout=0.3):
                if not message.error():
                    self.history.read((TOPIC, message.partition(), message.offset()), message.value())
                    unsaid += 1
            if unsaid >= 50:
                self.commit(consumer)
                unsaid = 0
        self.commit(consumer)
        consumer.close()

    def assigned(self, consumer, partitions):
        """What a new owner is told to begin with is a committed offset as well."""
        floor = self.history.commit_floor()
        try:
            for place in consumer.committed(partitions, timeout=5):
                if place.error is None:
                    self.history.commit_seen(floor, place.partition, place.offset)
        except KafkaException:
            self.history.counts["looks that failed"] += 1

    def commit(self, consumer):
        floor = self.history.commit_floor()
        try:
            for place in consumer.commit(asynchronous=False) or []:
                # A partition of which nothing was read has nothing to commit.
                if place.error is None and place.offset >= 0:
                    self.history.commit_acknowledged(floor, place.partition, place.offset)
        except KafkaException:
            self.history.counts["commits that failed"] += 1


class CommitWatch(Client):
    """Asks for the committed offsets over and over, as a consumer that never joins: librdkafka 2.16's admin client
    crashes when a coordinator has moved."""

    def work(self):
        consumer = Consumer({"bootstrap.servers": self.boards.kafka, "group.id": GROUP, "log_level": 0})
        places = [TopicPartition(TOPIC, state.id) for state in self.boards.states(TOPIC)]
        while self.is_wanted:
            time.sleep(0.3)
            floor = self.history.commit_floor()
            try:
                for place in consumer.committed(places, timeout=10):
                    if place.error is None:
                        self.history.commit_seen(floor, place.partition, place.offset)
                self.history.counts["looks at commits"] += 1
            except KafkaException:
                self.history.counts["looks that failed"] += 1
        consumer.close()


class Sensor(Client):
    """Publishes numbers at QoS 1 on one board, and on the next when that is gone."""

    def __init__(self, boards, history, name, home):
        self.home = home
        self.waiting = {}
        super().__init__(boards, history, name)

    def work(self):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, self.name)
        client.on_publish = self.acknowledged
        client.connect_timeout = 2
        client.max_inflight_messages_set(100)
        number, deadline, next_at = 0, None, 0
        while True:
            if not self.is_wanted:
                deadline = deadline or time.monotonic() + END_SECONDS - 20
                if not self.waiting or time.monotonic() > deadline:
                    break
            if not client.is_connected() and not self.connect(client):
                continue
            if self.is_wanted and len(self.waiting) < 100 and time.monotonic() >= next_at:
                sent = client.publish(f"sensors/{self.name}", f"{self.name} {number}", 1)
                self.waiting[sent.mid] = number
                number += 1
                next_at = time.monotonic() + SENSOR_SECONDS
            client.loop(SENSOR_SECONDS)
        if self.waiting:
            self.history.breaks(f"{self.name}: {len(self.waiting)} messages were never acknowledged")
        client.disconnect()

    def connect(self, client):
        """Moves on to the next board; what waits is sent again by the client."""
        members = list(self.boards.members)
        self.home = members[(members.index(self.home) + 1) % len(members)]
        if self.waiting:
            self.history.sent_again[self.name].update(self.waiting.values())
        try:
            client.connect(address(self.home), 1883, keepalive=4)
        except OSError:
            time.sleep(0.1)
            return False
        deadline = time.monotonic() + 4
        while not client.is_connected() and time.monotonic() < deadline:
            if client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
                break
        self.history.counts["sensors' connections"] += 1
        return client.is_connected()

    def acknowledged(self, _client, _data, mid, _reason, _properties):
        number = self.waiting.pop(mid)
        self.history.counts["published"] += 1
        before = self.history.published[self.name]
        if before and number < before[-1]:
            self.history.breaks(f"{self.name}: {number} was acknowledged after {before[-1]}")
        before.append(number)


class Registrar(Client):
    """Counts in a znode, by version; makes sequential znodes; reads what others wrote."""

    def work(self):
        client = KazooClient(self.boards.zookeeper, timeout=8, connection_retry={"max_tries": -1, "max_delay": 1}, randomize_hosts=True)
        client.start(60)
        path = f"/judge/{self.name}"
        self.until_known(lambda: client.ensure_path("/judge"))
        self.until_known(lambda: client.exists(path) or client.create(path, b"0"))
        while self.is_wanted:
            time.sleep(0.05)
            try:
                self.turn(client, path)
            except (KazooException, KazooTimeoutError):
                self.history.counts["operations on znodes that failed"] += 1
        self.until_known(lambda: client.sync("/judge"))
        floor = self.history.registers[self.name]
        value, stat = self.until_known(lambda: client.get(path))
        self.history.register_seen(self.name, floor, int(value), stat.version)
        names = set(self.until_known(lambda: client.get_children("/judge")))
        for name in self.history.sequence:
            if name.split("/")[-1].startswith(self.name) and name.split("/")[-1] not in names:
                self.history.breaks(f"lost: znode {name}, whose creation was acknowledged")
        client.stop()
        client.close()

    def turn(self, client, path):
        floor = self.history.registers[self.name]
        value, stat = client.get(path)
        self.history.register_seen(self.name, floor, int(value), stat.version)
        number = int(value) + 1
        try:
            client.set(path, b"%d" % number, version=stat.version)
            self.history.register_written(self.name, number)
        except BadVersionError:
            # An earlier write whose answer was lost has come through meanwhile.
            self.history.counts["znode versions that had moved on"] += 1
        if number % 10 == 0:
            self.history.sequence.append(client.create(f"{path}-seq-", sequence=True))

    def until_known(self, ask):
        deadline = time.monotonic() + END_SECONDS - 20
        while True:
            try:
                return ask()
            except (KazooException, KazooTimeoutError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def start_all(boards, history, seed):
    """Everybody, at work."""
    return [
        *(IdempotentProducer(boards, history, f"producer{n}") for n in range(2)),
        *(GroupMember(boards, history, f"member{n}", seed + n) for n in range(2)),
        CommitWatch(boards, history, "watch"),
        *(Sensor(boards, history, f"sensor{n}", n % 3 + 1) for n in range(4)),
        *(Registrar(boards, history, f"registrar{n}") for n in range(2)),
    ]


def content(boards, topic, seconds=60):
    """Every record of a topic: (partition, offset) -> value."""
    consumer = Consumer({"bootstrap.servers": boards.kafka, "group.id": "content", "enable.auto.commit": False, "log_level": 0})
    found = {}
    for partition in range(len(boards.states(topic))):
        here = TopicPartition(topic, partition, 0)
        _, end = consumer.get_watermark_offsets(here, timeout=30)
        consumer.assign([here])
        at, deadline = 0, time.monotonic() + seconds
        while at < end:
            assert time.monotonic() < deadline, f"{topic}-{partition}: only {at} of {end} records came"
            for message in consumer.consume(1000, timeout=0.2):
                assert not message.error(), message.error()
                found[(partition, message.offset())] = message.value()
                at = message.offset() + 1
    consumer.close()
    return found
