"""Who belongs to the ensemble: members come, go, move and change their disks, observers listen, strangers are told why."""

import subprocess
import time

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from ensemble import Ensemble, free_ports, running
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, NotEnoughReplicasAfterAppendError, NotEnoughReplicasError
from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadArgumentsError,
    BadVersionError,
    ConnectionLoss,
    NewConfigNoQuorumError,
    NoAuthError,
    ReconfigDisabledError,
)
from kazoo.security import make_digest_acl_credential
from node import BINARY, Node, eventually


def zookeeper(ensemble, *numbers, **options):
    client = KazooClient(",".join(ensemble.members[number].zookeeper for number in numbers), timeout=4, **options)
    client.start(60)
    return client


def line(number, ports, role="participant"):
    return f"server.{number}=127.0.0.1:{ports[0]}:{ports[1]}:{role}"


def tern(ensemble, *arguments, number=1):
    """Runs `tern node ...`; what it printed, and its exit code."""
    command = [BINARY, "node", *arguments, "--server", ensemble.members[number].zookeeper]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr, done.returncode


def rows(ensemble, number=1):
    """`tern node list` by member: role, votes, broker."""

    def listed():
        text, code = tern(ensemble, "list", number=number)
        return text if code == 0 else None  # a change of the members may cost the quorum its leader

    text = eventually(listed, 30, 0.2)
    assert text, tern(ensemble, "list", number=number)
    return {int(row[0]): (row[2], row[3]) for row in (text_line.split() for text_line in text.splitlines()[1:])}


def voters(ensemble, number=1):
    return sorted(member for member, (_, votes) in rows(ensemble, number).items() if votes in ("yes", "leader"))


def topic(ensemble, name, partitions, replicas, number=1, config=None):
    admin = AdminClient({"bootstrap.servers": ensemble.members[number].kafka})
    admin.create_topics([NewTopic(name, partitions, replicas, config=config or {})])[name].result(20)
    return admin


def partitions(admin, name):
    return admin.list_topics(name, timeout=10).topics[name].partitions


def led(admin, name):
    """The partitions of a topic, once the board that is asked knows a leader of each."""

    def look():
        found = partitions(admin, name)
        return found if found and all(partition.leader >= 0 for partition in found.values()) else None

    found = eventually(look, 30)
    assert found, f"{name} has no leader everywhere"
    return found


def reconfig(client, **change):
    """Changes the members, again while those who stay are not known to be in step."""

    def ask():
        try:
            return client.reconfig(**change)
        except NewConfigNoQuorumError:
            return None

    answer = eventually(ask, 30, 0.2)
    assert answer, change
    return answer


def test_reconfig_errors(ensemble):
    """What cannot be is refused with ZooKeeper's own errors, and the members stay what they were."""
    client = zookeeper(ensemble, ensemble.followers()[0])
    before, _ = client.get("/zookeeper/config")
    assert before.count(b"server.") == 3 and b"version=" in before
    first = before.decode().splitlines()[0].split("=", 1)[1]
    for joining in ("server.4", "server.4=127.0.0.1:1", "server.4=127.0.0.1:1:2:boss", f"server.4={first}"):
        with pytest.raises(BadArgumentsError):
            client.reconfig(joining=joining, leaving=None, new_members=None)
    for leaving in ("x", "1,2,3"):
        with pytest.raises(BadArgumentsError):
            client.reconfig(joining=None, leaving=leaving, new_members=None)
    with pytest.raises(BadVersionError):
        client.reconfig(joining=None, leaving="3", new_members=None, from_config=12345)
    with pytest.raises(NewConfigNoQuorumError):
        client.reconfig(joining=None, leaving=None, new_members="server.8=127.0.0.1:1:2,server.9=127.0.0.1:3:4")
    assert client.get("/zookeeper/config")[0] == before
    client.stop()


def test_the_dead_count_for_nobody(ensemble):
    """With one board just killed, the other follower cannot be removed: what would be left is no quorum."""
    leader = ensemble.leader()
    dead, other = ensemble.followers()
    client = zookeeper(ensemble, leader)
    before, _ = client.get("/zookeeper/config")
    ensemble.members[dead].kill()
    with pytest.raises(NewConfigNoQuorumError):
        client.reconfig(joining=None, leaving=str(other), new_members=None)
    assert client.get("/zookeeper/config")[0] == before
    client.stop()


def test_who_may_reconfig(tmp_path):
    """`reconfigEnabled=false` refuses everybody; with a superuser nobody else may write the members."""
    digest = make_digest_acl_credential("super", "secret")
    nodes = Ensemble(tmp_path)
    nodes.settings.append(f"DigestAuthenticationProvider.superDigest={digest}")
    try:
        nodes.start(1)
        nodes.start(2)
        nodes.start(3, "reconfigEnabled=false")
        for member in nodes.members.values():
            member.ready()
        for number, error in ((3, ReconfigDisabledError), (1, NoAuthError)):
            client = zookeeper(nodes, number)
            with pytest.raises(error):
                client.reconfig(joining=None, leaving="2", new_members=None)
            client.stop()
        client = zookeeper(nodes, 1, auth_data=[("digest", "super:secret")])
        data, _ = reconfig(client, joining=None, leaving="2", new_members=None)
        assert b"server.2" not in data
        client.stop()
    finally:
        nodes.end()


def test_a_board_comes_and_goes(ensemble):
    """A fourth board copies, votes and stands for a majority; it is removed, and says so as it ends. Watchers hear it."""
    client = zookeeper(ensemble, 1, 2, 3)
    heard = []
    client.get("/zookeeper/config", watch=heard.append)
    ports = free_ports(2)
    said, code = tern(ensemble, "add", line(4, ports), "--wait", "0")
    assert code == 0 and "server 4 is a member" in said, said
    assert eventually(lambda: heard, 30)
    ensemble.settings.append(line(4, ports))
    ensemble.start(4).ready()
    assert eventually(lambda: voters(ensemble) == [1, 2, 3, 4], 60), rows(ensemble)
    assert "already" in tern(ensemble, "add", line(4, ports))[0]
    client.retry(client.ensure_path, "/kept")
    client.retry(client.set, "/kept", b"x")
    topic(ensemble, "only", 1, 1, number=4)
    held = AdminClient({"bootstrap.servers": ensemble.members[4].kafka})
    holder = led(held, "only")[0].leader
    said, code = tern(ensemble, "remove", str(holder))
    assert code == 1 and "only-0" in said and f"tern topic reassign --without {holder}" in said, said
    said, code = tern(ensemble, "remove", "4", "--force")
    assert code == 0 and "no member any more" in said, said
    assert eventually(lambda: voters(ensemble) == [1, 2, 3], 30), rows(ensemble)
    assert ensemble.members[4].process.wait(60) == 1
    assert "server 4 was removed from the ensemble" in ensemble.members[4].diagnostics()
    assert client.retry(client.get, "/kept")[0] == b"x"
    client.stop()


def test_down_to_two_and_one(ensemble):
    """Members go one by one, the leader as well, and what is left goes on."""
    leader = ensemble.leader()
    rest = [number for number in (1, 2, 3) if number != leader]
    said, code = tern(ensemble, "remove", str(leader), "--force", number=rest[0])
    assert code == 0, said
    assert ensemble.members[leader].process.wait(60) == 1
    assert eventually(lambda: voters(ensemble, rest[0]) == rest, 60)
    said, code = tern(ensemble, "remove", str(rest[1]), "--force", number=rest[0])
    assert code == 0, said
    client = zookeeper(ensemble, rest[0])
    client.retry(client.ensure_path, "/alone")
    client.stop()


def test_a_member_moves(ensemble):
    """A member at another address, told to the tree before it starts there, is found by the others; their files are old."""
    moved, other = ensemble.followers()
    ensemble.members[moved].stop()
    ports = free_ports(2)
    client = zookeeper(ensemble, other)
    reconfig(client, joining=line(moved, ports), leaving=None, new_members=None)
    client.stop()
    settings = [
        line(moved, ports) if setting.startswith(f"server.{moved}=") else setting for setting in ensemble.settings
    ]
    old, ensemble.settings = ensemble.settings, settings
    ensemble.start(moved).ready()
    ensemble.settings = old
    assert eventually(lambda: len(voters(ensemble, other)) == 3, 60)
    leader = ensemble.leader()
    ensemble.members[leader].kill()
    ensemble.start(leader).ready()  # its file still names the old address, its tree the new one
    assert eventually(lambda: len(voters(ensemble, moved)) == 3, 60)
    ensemble.members[other if other != leader else leader].kill()
    assert ensemble.leader()


def test_a_disk_is_replaced(ensemble):
    """`tern node replace` waits for the new disk, and what was acknowledged is on the others meanwhile."""
    admin = topic(ensemble, "kept", 3, 3, config={"min.insync.replicas": "2"})
    producer = KafkaProducer(bootstrap_servers=ensemble.members[ensemble.leader()].kafka, acks="all")
    for number in range(30):
        producer.send("kept", b"%d" % number, partition=number % 3).get(60)
    producer.close()
    lost, other = ensemble.followers()
    ensemble.members[lost].kill()
    assert eventually(lambda: lost not in admin_brokers(ensemble, other), 60)
    asked = subprocess.Popen(
        [BINARY, "node", "replace", str(lost), "--server", ensemble.members[other].zookeeper],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    ensemble.members[lost].lose_disk()
    # It has looked at the old disk before it says this.
    said = ""
    for said_line in asked.stdout:
        said += said_line
        if said_line.startswith("start the new one"):
            break
    ensemble.start(lost).ready()
    said += asked.stdout.read()
    assert asked.wait(60) == 0 and f"server {lost} votes" in said, said
    del admin
    admin = AdminClient({"bootstrap.servers": ensemble.members[other].kafka})
    in_sync = lambda: all(len(p.isrs) == 3 for p in partitions(admin, "kept").values())  # noqa: E731
    assert eventually(in_sync, 60), {p.id: p.isrs for p in partitions(admin, "kept").values()}
    leader = ensemble.leader()
    ensemble.members[leader if leader != lost else other].kill()
    assert sorted(read_all(ensemble.members[lost].kafka, "kept", 30)) == list(range(30))


def test_an_empty_disk_never_leads(ensemble):
    """Boards come back with empty disks before anybody missed them: nothing acknowledged is lost, and a partition that
    only one of them had stays offline rather than begin anew."""
    admin = topic(ensemble, "safe", 3, 3, config={"min.insync.replicas": "2"})
    topic(ensemble, "single", 3, 1)
    producer = KafkaProducer(bootstrap_servers=[m.kafka for m in ensemble.members.values()], acks="all")
    for number in range(30):
        producer.send("safe", b"%d" % number, partition=number % 3).get(60)
    producer.close()
    single = {p.leader: p.id for p in led(admin, "single").values()}
    lost, other = ensemble.followers()
    ensemble.members[lost].kill()
    ensemble.members[lost].lose_disk()
    ensemble.start(lost).ready()
    admin = AdminClient({"bootstrap.servers": ensemble.members[other].kafka})
    is_offline = lambda: partitions(admin, "single")[single[lost]].leader == -1  # noqa: E731
    assert eventually(is_offline, 30)
    assert eventually(lambda: "last in sync" in ensemble.members[other].diagnostics(), 30)
    led(admin, "safe")
    assert sorted(read_all(ensemble.members[lost].kafka, "safe", 30)) == list(range(30))
    assert is_offline()


def test_an_observer(ensemble):
    """A fourth board listens: it serves reads and takes writes, and neither its vote nor its absence counts."""
    ports = free_ports(2)
    said, code = tern(ensemble, "add", line(4, ports, "observer"), "--wait", "0")
    assert code == 0, said
    ensemble.settings.append(line(4, ports, "observer"))
    ensemble.start(4, "peerType=observer").ready()
    assert eventually(lambda: ensemble.role(4) == "observer", 30), ensemble.role(4)
    client = zookeeper(ensemble, 4)
    client.create("/through the observer", b"x")
    assert client.retry(client.get, "/through the observer")[0] == b"x"
    assert eventually(lambda: voters(ensemble) == [1, 2, 3] and rows(ensemble)[4] == ("observer", "no"), 30), rows(ensemble)
    topic(ensemble, "any", 4, 1, number=4)
    producer = KafkaProducer(bootstrap_servers=ensemble.members[4].kafka, acks="all")
    for partition in range(4):
        producer.send("any", b"x", partition=partition).get(60)
    producer.close()
    ensemble.members[ensemble.followers()[0]].kill()
    client.retry(client.sync, "/")
    client.retry(client.ensure_path, "/with two of three")
    voters_left = [number for number in ensemble.alive() if number != 4]
    ensemble.members[next(n for n in voters_left if n != ensemble.leader())].kill()
    # One voter and an observer are no majority.
    assert eventually(lambda: ensemble.role(4) == "read-only", 30), ensemble.role(4)
    # Not even asked, or asked in vain: kazoo waits for a server that takes writes.
    with pytest.raises((ConnectionLoss, client.handler.timeout_exception)):
        client.create_async("/with one of three").get(timeout=5)
    client.stop()


def test_producers_of_a_minority(ensemble):
    """Without a majority in sync a producer is told NOT_ENOUGH_REPLICAS, or waits in vain, and what it was told stays."""
    topic(ensemble, "strict", 1, 3, config={"min.insync.replicas": "2"})
    admin = AdminClient({"bootstrap.servers": ensemble.members[1].kafka})
    kept = led(admin, "strict")[0].leader
    producer = KafkaProducer(bootstrap_servers=ensemble.members[kept].kafka, acks="all", retries=0)
    producer.send("strict", b"1").get(60)
    for number in (1, 2, 3):
        if number != kept:
            ensemble.members[number].kill()
    refused = set()

    def ask():
        try:
            producer.send("strict", b"2").get(10)
            raise AssertionError("acknowledged by one of three")
        except KafkaError as error:
            refused.add(type(error))
        return {NotEnoughReplicasError, NotEnoughReplicasAfterAppendError} & refused

    assert eventually(ask, 60), refused
    reader = KafkaConsumer(
        "strict",
        bootstrap_servers=ensemble.members[kept].kafka,
        auto_offset_reset="earliest",
    )
    read = lambda ms: [record.value for some in reader.poll(timeout_ms=ms).values() for record in some]  # noqa: E731
    assert eventually(lambda: read(1000), 60) == [b"1"]
    assert read(3000) == []
    reader.close()


def test_refusals(tmp_path):
    """Boards that cannot belong say so in one sentence that tells what to do, and disturb nobody: sessions and elections
    take longer than what the machine stalls by itself."""
    with running(tmp_path, tick_ms=2000) as ensemble:
        refusals(ensemble, tmp_path)


def refusals(ensemble, tmp_path):
    directory = tmp_path / "stranger"
    directory.mkdir()

    def refused(*settings):
        stranger = Refused(directory, *settings)
        assert stranger.process.wait(60) in (1, 2)
        return stranger.diagnostics()

    lines = [setting for setting in ensemble.settings if setting.startswith("server.")]
    assert "which member is this node?" in refused(*lines)
    assert "there is no line server.7" in refused("broker.id=7", *lines)
    (directory / "coordinator").mkdir(exist_ok=True)
    (directory / "coordinator" / "myid").write_text("2\n")
    assert "a node has one number" in refused("broker.id=1", *lines)
    (directory / "coordinator" / "myid").unlink()
    # A second board with the number of one that is there, on another address.
    leader = ensemble.leader()
    taken = next(number for number in (1, 2, 3) if number != leader)
    host = [f"server.{taken}=127.0.0.9" + setting.split("127.0.0.1", 1)[1] for setting in lines if setting.startswith(f"server.{taken}=")]
    others = [setting for setting in ensemble.settings if not setting.startswith(f"server.{taken}=")]
    double = Refused(directory, f"broker.id={taken}", *others, *host)
    assert eventually(lambda: "another board with this node's number is connected" in double.diagnostics(), 60)
    said = ensemble.members[leader].diagnostics
    assert eventually(lambda: "another board with its number is connected already" in said(), 30)
    time.sleep(8)  # longer than a session and than an election
    double.kill()
    assert ensemble.leader() == leader and len(ensemble.alive()) == 3
    assert f"broker {taken} was silent" not in said()


def test_own_line_differs(ensemble):
    """A board whose own line names other ports than the others dial is answered by nobody, and says why."""
    number = ensemble.followers()[0]
    before = ensemble.members[number]
    assert before.stop() == 0
    own = next(setting for setting in ensemble.settings if setting.startswith(f"server.{number}="))
    data, quorum = free_ports(2)
    other = f"server.{number}=127.0.0.1:{data}:{quorum}"
    said_before = len(before.diagnostics())
    ensemble.start(number, other)  # the later line counts
    said = lambda: ensemble.members[number].diagnostics()[said_before:]  # noqa: E731
    assert eventually(lambda: f"{other}:participant: correct" in said(), 30), said()
    assert f"knew this node as {own}" in said() and "tern node replace" in said()
    assert eventually(lambda: "compare the server lines" in said(), 30), said()
    ensemble.members[number].kill()
    # With the line corrected it comes back, and complains no more.
    said_before += len(said())
    ensemble.start(number)
    ensemble.members[number].ready()
    assert "knew this node" not in said()


class Refused(Node):
    """A node that is not expected to become ready."""

    def start(self, expect_ready=False):
        super().start(expect_ready=False)


def admin_brokers(ensemble, number):
    client = AdminClient({"bootstrap.servers": ensemble.members[number].kafka})
    return sorted(client.list_topics(timeout=10).brokers)


def read_all(bootstrap, name, count):
    """All values of a topic, as numbers."""
    reader = KafkaConsumer(
        name, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=60000, group_id=None
    )
    got = []
    for record in reader:
        got.append(int(record.value))
        if len(got) == count:
            break
    reader.close()
    return got


def test_features(ensemble):
    """The level of the format is the newest in a new ensemble, stock tools see it, and it cannot be lowered."""
    client = zookeeper(ensemble, 1)
    data, _ = client.get("/feature")
    assert b'"tern.version":' in data
    for number in (1, 2, 3):
        path = f"/brokers/ids/{number}"
        # This board may hear later than others who is there.
        assert eventually(lambda: client.exists(path), 30)
        assert b'"max_version":' in client.get(path)[0]
    with pytest.raises(NoAuthError):
        client.set("/feature", b"{}")
    client.stop()
