"""ZooKeeper's client protocol at the level of frames, so that a test sees every reply, error and event as it came.

Serialisation is jute: big-endian integers, strings and buffers with a length before them (-1 is null), vectors with a
count. A connection keeps the events that arrive between replies, in the order in which they came.
"""

import socket
import struct

CREATE, DELETE, EXISTS, GET_DATA, SET_DATA, GET_ACL, SET_ACL, GET_CHILDREN, SYNC, PING = 1, 2, 3, 4, 5, 6, 7, 8, 9, 11
GET_CHILDREN2, CHECK, MULTI, CREATE2, CHECK_WATCHES, REMOVE_WATCHES, CREATE_CONTAINER = 12, 13, 14, 15, 17, 18, 19
CREATE_TTL, MULTI_READ, AUTH, SET_WATCHES, GET_EPHEMERALS, ALL_CHILDREN, SET_WATCHES2 = 21, 22, 100, 101, 103, 104, 105
ADD_WATCH, WHO_AM_I, CLOSE = 106, 107, -11

PERSISTENT, EPHEMERAL, SEQUENTIAL, EPHEMERAL_SEQUENTIAL, CONTAINER, TTL, TTL_SEQUENTIAL = range(7)
CREATED, DELETED, DATA_CHANGED, CHILDREN_CHANGED = 1, 2, 3, 4

OPEN_ACL = [(31, "world", "anyone")]
STAT = struct.Struct(">qqqqiiiqiiq")
STAT_FIELDS = (
    "czxid", "mzxid", "ctime", "mtime", "version", "cversion", "aversion", "ephemeral_owner", "data_length",
    "num_children", "pzxid",
)


class SessionExpired(Exception):
    """The server knows no such session."""


class Closed(Exception):
    """The server has closed the connection."""


def i32(number):
    return struct.pack(">i", number)


def i64(number):
    return struct.pack(">q", number)


def boolean(value):
    return b"\x01" if value else b"\x00"


def buffer(data):
    return i32(-1) if data is None else i32(len(data)) + data


def string(text):
    return buffer(None if text is None else text.encode("utf-8", "surrogatepass"))


def vector(items, write):
    return i32(-1) if items is None else i32(len(items)) + b"".join(write(item) for item in items)


def acls(entries):
    return vector(entries, lambda acl: i32(acl[0]) + string(acl[1]) + string(acl[2]))


class Body:
    """A reply's body, read from the front."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        part = self.data[self.at : self.at + count]
        assert len(part) == count, f"the body ends early: {self.data!r}"
        self.at += count
        return part

    def i32(self):
        return struct.unpack(">i", self.take(4))[0]

    def i64(self):
        return struct.unpack(">q", self.take(8))[0]

    def bool(self):
        return self.take(1) != b"\x00"

    def buffer(self):
        length = self.i32()
        return None if length < 0 else self.take(length)

    def string(self):
        data = self.buffer()
        return None if data is None else data.decode()

    def vector(self, read):
        return [read() for _ in range(max(self.i32(), 0))]

    def stat(self):
        return dict(zip(STAT_FIELDS, STAT.unpack(self.take(STAT.size))))

    def acl(self):
        return (self.i32(), self.string(), self.string())

    def end(self):
        assert self.at == len(self.data), f"bytes are left over: {self.data[self.at:]!r}"


class Connection:
    """One socket and, after `open`, the session on it."""

    def __init__(self, address, timeout_ms=10_000, session=0, password=b"\0" * 16, last_zxid=0, read_only=False):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = b""
        self.events = []
        self.xid = 0
        self.last_zxid = last_zxid
        self.send(i32(0) + i64(last_zxid) + i32(timeout_ms) + i64(session) + buffer(password) + boolean(read_only))
        reply = Body(self.frame())
        assert reply.i32() == 0
        self.timeout_ms, self.session, self.password = reply.i32(), reply.i64(), reply.buffer()
        self.read_only = reply.bool()
        reply.end()
        if self.session == 0:
            self.socket.close()
            raise SessionExpired

    def send(self, payload):
        self.socket.sendall(i32(len(payload)) + payload)

    def frame(self):
        while len(self.input) < 4 or len(self.input) < 4 + struct.unpack(">i", self.input[:4])[0]:
            try:
                part = self.socket.recv(65536)
            except ConnectionError as error:
                raise Closed from error
            if not part:
                raise Closed
            self.input += part
        length = struct.unpack(">i", self.input[:4])[0]
        frame, self.input = self.input[4 : 4 + length], self.input[4 + length :]
        return frame

    def post(self, opcode, body=b"", xid=None):
        """Sends a request without waiting; returns its xid."""
        if xid is None:
            self.xid += 1
            xid = self.xid
        self.send(i32(xid) + i32(opcode) + body)
        return xid

    def receive(self, xid):
        """The reply to `xid`, which must be the next one: (zxid, error, body)."""
        while True:
            reply = Body(self.frame())
            got, zxid, error = reply.i32(), reply.i64(), reply.i32()
            if got == -1:
                assert (zxid, error) == (-1, 0)
                kind, state, path = reply.i32(), reply.i32(), reply.string()
                assert state == 3
                reply.end()
                self.events.append((kind, path))
                continue
            assert got == xid, f"the reply to {xid} was expected, {got} came"
            if zxid > 0:
                assert zxid >= self.last_zxid, "a connection saw zxids fall"
                self.last_zxid = zxid
            return zxid, error, reply

    def call(self, opcode, body=b"", xid=None):
        return self.receive(self.post(opcode, body, xid))

    def ping(self):
        """Everything that was sent before has arrived."""
        zxid, error, reply = self.call(PING, xid=-2)
        assert error == 0
        reply.end()
        return zxid

    def auth(self, scheme, data):
        return self.call(AUTH, i32(0) + string(scheme) + buffer(data), xid=-4)[1]

    def take_events(self):
        events, self.events = self.events, []
        return events

    def close_session(self):
        zxid, error, reply = self.call(CLOSE)
        assert error == 0
        reply.end()
        self.socket.close()
        return zxid

    def drop(self):
        """Closes the socket and leaves the session."""
        self.socket.close()
