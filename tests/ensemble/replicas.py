"""What a stopped board's own copy of a topic says, read from its segments: Kafka's batches v2, uncompressed."""

import struct

HEADER = struct.Struct(">qiibIhiqqqhii")


def records(disk, topic):
    """(partition, offset) -> (leader epoch, value) of every record in a board's files."""
    found = {}
    for directory in sorted((disk / "topics").glob(f"{topic}-*")):
        partition = int(directory.name.rsplit("-", 1)[1])
        for segment in sorted(directory.glob("*.log")):
            for offset, epoch, value in batches(segment.read_bytes(), segment):
                found[(partition, offset)] = (epoch, value)
    assert found, f"{topic} has no record in {disk}"
    return found


def batches(data, name):
    at = 0
    while at + HEADER.size <= len(data):
        base, length, epoch, magic, _crc, attributes, _last, _first, _max, producer, _epoch, sequence, count = HEADER.unpack_from(data, at)
        if length == 0:
            return  # blocks that were made ahead
        assert magic == 2 and attributes & 7 == 0, f"{name} at {at}: magic {magic}, attributes {attributes}"
        end, inside = at + 12 + length, at + HEADER.size
        for index in range(count):
            inside, value = record(data, inside)
            # Producer and sequence belong to what replicas must agree on.
            yield base + index, (epoch, producer, sequence), value
        assert inside == end, f"{name} at {at}: the batch ends at {end}, its records at {inside}"
        at = end


def record(data, at):
    """The position behind a record, and its value."""
    length, at = varint(data, at)
    end = at + length
    _, inside = varint(data, at + 1)
    _, inside = varint(data, inside)
    key, inside = varint(data, inside)
    value, inside = varint(data, inside + max(key, 0))
    return end, data[inside : inside + value]


def varint(data, at):
    """A zigzag number, and the position behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
