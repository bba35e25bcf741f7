"""What clients were told, and the rules that must hold of it afterwards. Sentences say which rule was broken, and where.

Clients write from their own threads while the boards suffer; the rules are asked once everything has stopped.
"""

import collections
import threading


class History:
    """Everything that clients have seen; `broken` is what contradicted a rule while it happened."""

    def __init__(self):
        self.lock = threading.Lock()
        # (topic, partition, offset) -> value that an idempotent producer was told to be durable there.
        self.acknowledged = {}
        # (topic, value) of those acknowledged as a retry of what is there, whose offset librdkafka is not told.
        self.acknowledged_somewhere = set()
        # Of each committing group and partition, the highest offset whose commit was acknowledged.
        self.committed = collections.defaultdict(lambda: -1)
        # (topic, partition, offset) -> value that the group has read there.
        self.consumed = {}
        # Of each sensor, numbers in the order acknowledged, and those that it had to send again.
        self.published = collections.defaultdict(list)
        self.sent_again = collections.defaultdict(set)
        # Of each register, the last value whose write was acknowledged; names of sequential znodes.
        self.registers = collections.defaultdict(lambda: -1)
        self.sequence = []
        self.counts = collections.Counter()
        self.broken = []

    def breaks(self, sentence):
        with self.lock:
            self.broken.append(sentence)

    # What happens.

    def produced(self, place, value):
        with self.lock:
            self.counts["produced"] += 1
            if place[2] is None:
                self.acknowledged_somewhere.add((place[0], value))
                return
            before = self.acknowledged.setdefault(place, value)
        if before != value:
            self.breaks(f"offset {place} was acknowledged for {before!r} and for {value!r}")

    def commit_acknowledged(self, floor, partition, offset):
        """A commit asked for after those of `floor` were acknowledged; of two at a time either may be told first."""
        with self.lock:
            self.counts["commits"] += 1
            self.committed[partition] = max(offset, self.committed[partition])
        if partition in floor and offset < floor[partition]:
            self.breaks(f"a commit of {offset} for {partition} was acknowledged after one of {floor[partition]}")

    def commit_floor(self):
        """What every later commit, and every later look at what is committed, must reach."""
        with self.lock:
            return dict(self.committed)

    def commit_seen(self, floor, partition, offset):
        if partition in floor and offset < floor[partition]:
            self.breaks(f"the committed offset of {partition} is {offset} after {floor[partition]} was acknowledged")

    def read(self, place, value):
        with self.lock:
            self.counts["read by the group"] += 1
            before = self.consumed.setdefault(place, value)
        if before != value:
            self.breaks(f"{place} was read as {before!r} and as {value!r}")

    def register_written(self, name, number):
        with self.lock:
            self.counts["znodes written"] += 1
            self.registers[name] = max(number, self.registers[name])

    def register_seen(self, name, floor, number, version):
        """A read after the write of `floor` was acknowledged."""
        if number < floor:
            self.breaks(f"register {name} is {number} after {floor} was acknowledged")
        if number != version:
            self.breaks(f"register {name} holds {number} at version {version}: a write was lost or done twice")


def check_log(history, topic, found):
    """Acknowledged means there, where it was said, once; each producer's numbers in order. `found`: what the topic has."""
    broken = []
    for place, value in history.acknowledged.items():
        if place[0] == topic and found.get(place[1:]) != value:
            broken.append(f"lost: {value!r} was acknowledged at {place}, there is {found.get(place[1:])!r}")
    there = set(found.values())
    for of, value in history.acknowledged_somewhere:
        if of == topic and value not in there:
            broken.append(f"lost: {value!r} was acknowledged as a retry, there is none")
    last, times = {}, collections.Counter()
    for (partition, offset), value in sorted(found.items()):
        producer, number = value.split(b" ")
        times[value] += 1
        if int(number) <= last.get((producer, partition), -1):
            broken.append(f"order: {value!r} at {partition}/{offset} comes after {last[(producer, partition)]}")
        last[(producer, partition)] = int(number)
    broken += [f"doubled: {value!r} is there {count} times" for value, count in times.items() if count > 1]
    return broken


def check_consumed(history, topic, found):
    """The group has read what the log has, all of it."""
    broken = []
    for place, value in history.consumed.items():
        if place[0] == topic and found.get(place[1:]) != value:
            broken.append(f"the group read {value!r} at {place}, there is {found.get(place[1:])!r}")
    unread = [place for place in found if (topic, *place) not in history.consumed]
    return broken + [f"the group never read {place}" for place in unread]


def check_sensors(history, found):
    """Every acknowledged message is there; a sensor's messages are in order, and twice only if it sent them twice."""
    broken = []
    of_each = collections.defaultdict(list)
    for _, value in sorted(found.items()):
        sensor, number = value.split(b" ")
        of_each[sensor.decode()].append(int(number))
    for sensor, acknowledged in history.published.items():
        there = of_each[sensor]
        missing = set(acknowledged) - set(there)
        broken += [f"lost: message {number} of {sensor} was acknowledged" for number in sorted(missing)]
        first = list(dict.fromkeys(there))
        broken += [f"order: {sensor} sent {b} after {a}" for a, b in zip(first, first[1:]) if b < a]
        twice = [number for number, count in collections.Counter(there).items() if count > 1]
        broken += [f"doubled: {number} of {sensor}, sent once" for number in twice if number not in history.sent_again[sensor]]
    return broken


def check_replicas(contents):
    """Every board's copy of a topic says the same; `contents`: found, by board."""
    broken = []
    first_board, first = next(iter(contents.items()))
    for board, found in contents.items():
        for place in first.keys() | found.keys():
            if first.get(place) != found.get(place):
                broken.append(f"replicas differ at {place}: {first.get(place)!r} on {first_board}, {found.get(place)!r} on {board}")
    return broken
