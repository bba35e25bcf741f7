"""Where copies are, on three boards: as many as there are boards, moved by stock tools and by ours, led evenly, repaired."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource
from ensemble import running
from java_tools import INSTALLED, Tools
from node import BINARY, eventually
from test_replication import SOON, Numbers, bootstrap, check, states

SETTINGS = [*SOON, "leader.imbalance.check.interval.seconds=1", "group.initial.rebalance.delay.ms=100"]


@pytest.fixture
def boards(tmp_path):
    """Three boards that take a silent broker for gone after 1.5 s, and say nothing of copies."""
    with running(tmp_path, *SETTINGS) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def new_tools():
    """Kafka 4's tools; each test says which node."""
    tools = Tools("4", "")
    yield tools
    tools.close()


def tern(boards, *arguments, code=0):
    """What our own command prints."""
    command = [BINARY, *map(str, arguments), "--bootstrap", bootstrap(boards)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (command, done.stdout, done.stderr)
    return done.stdout


def make(boards, topic, partitions, replication, *options):
    tern(boards, "topic", "create", topic, "--partitions", partitions, "--replication-factor", replication, *options)


def produce(boards, topic, count, size=100, partition=0):
    """So many records into one partition, all acknowledged."""
    refused = []
    settings = {"enable.idempotence": True, "linger.ms": 5, "batch.num.messages": 50}  # else a batch that is sent again comes late
    producer = Producer({"bootstrap.servers": bootstrap(boards), **settings})
    for number in range(count):
        value = b"%010d" % number + b"x" * (size - 10)
        producer.produce(topic, value, partition=partition, on_delivery=lambda error, _: error and refused.append(error))
        producer.poll(0)
    assert producer.flush(120) == 0 and not refused, refused[:3]


def consume(boards, topic, count, partition=0):
    """The first `count` numbers of a partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap(boards), "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, partition, 0)])
    numbers, until = [], time.monotonic() + 120
    while len(numbers) < count and time.monotonic() < until:
        numbers += [int(message.value()[:10]) for message in consumer.consume(500, timeout=0.5) if not message.error()]
    consumer.close()
    return numbers


def placed(boards, topic):
    """Replicas, ISR and leader by partition."""
    found = {p.id: (p.replicas, sorted(p.isrs), p.leader) for p in states(boards, topic)}
    return [found[index] for index in sorted(found)]


def led(boards, topic):
    """The same, once the board that is asked knows a leader of each partition."""

    def look():
        found = placed(boards, topic)
        return found if all(leader >= 0 for _, _, leader in found) else None

    found = eventually(look, 60)
    assert found, f"{topic} has no leader everywhere"
    return found


def directory(boards, number, topic, partition=0):
    return os.path.join(boards.members[number].directory, "topics", f"{topic}-{partition}")


def plan_file(path, topic, *replicas):
    entries = [{"topic": topic, "partition": index, "replicas": ids} for index, ids in enumerate(replicas)]
    path.write_text(json.dumps({"version": 1, "partitions": entries}))
    return path


def test_defaults(boards, new_tools):
    """Without a word of the configuration, topics of every kind have three copies of which two must be in sync."""
    new_tools.bootstrap = bootstrap(boards)
    new_tools.ask("topics", "--create", "--topic", "plain", "--partitions", 3)
    produce(boards, "on-demand", 10)
    consume(boards, "on-demand", 10)
    consumer = Consumer({"bootstrap.servers": bootstrap(boards), "group.id": "members", "auto.offset.reset": "earliest"})
    consumer.subscribe(["on-demand"])
    assert eventually(lambda: (message := consumer.poll(0.5)) and not message.error(), 60)
    consumer.commit(asynchronous=False)
    consumer.close()
    for topic in ("plain", "on-demand", "__consumer_offsets"):
        assert all(len(replicas) == 3 for replicas, _, _ in placed(boards, topic)), placed(boards, topic)
    shown = new_tools.ask("configs", "--describe", "--entity-type", "topics", "--entity-name", "plain", "--all")
    assert "min.insync.replicas=2 sensitive=false synonyms={DEFAULT_CONFIG:min.insync.replicas=2}" in shown, shown
    shown = new_tools.ask("configs", "--describe", "--entity-type", "brokers", "--entity-name", 1, "--all")
    assert "default.replication.factor=3 sensitive=false synonyms={DEFAULT_CONFIG" in shown, shown
    # One board less: topics that are created now are not poorer, and writes go on; with two less they are refused.
    boards.members[3].kill()
    assert eventually(lambda: all(len(isr) == 2 for _, isr, _ in placed(boards, "plain")), 60)
    produce(boards, "later", 10)
    assert sorted(placed(boards, "later")[0][0]) == [1, 2, 3]
    boards.start(3)
    boards.members[3].ready()
    assert eventually(lambda: placed(boards, "later")[0][1] == [1, 2, 3], 60)


def test_kafkas_reassignment(boards, new_tools, tmp_path):
    """Kafka's tool generates, executes with a rate, lists, verifies and cancels, while a producer goes on."""
    new_tools.bootstrap = bootstrap(boards)
    make(boards, "moved", 2, 1)
    make(boards, "busy", 3, 2)
    numbers = Numbers(boards, "busy")
    produce(boards, "moved", 3000, 1000)
    before = led(boards, "moved")
    topics = tmp_path / "topics.json"
    topics.write_text(json.dumps({"version": 1, "topics": [{"topic": "moved"}]}))
    made = new_tools.ask(
        "reassign-partitions", "--generate", "--topics-to-move-json-file", topics, "--broker-list", "1,2,3"
    )
    assert "Proposed partition reassignment configuration" in made, made
    leader = before[0][2]
    others = [number for number in (1, 2, 3) if number != leader]
    plan = plan_file(tmp_path / "plan.json", "moved", others, before[1][0])
    started = new_tools.ask(
        "reassign-partitions", "--execute", "--reassignment-json-file", plan, "--throttle", 200_000
    )
    assert "Successfully started partition reassignment" in started, started
    began = time.monotonic()
    listed = new_tools.ask("reassign-partitions", "--list")
    assert re.search(r"moved-0: replicas: .* adding: .* removing: ", listed), listed
    described = new_tools.ask("topics", "--describe", "--topic", "moved")
    assert re.search(r"Adding Replicas: \d,\d\s+Removing Replicas: \d", described), described
    verified = new_tools.ask("reassign-partitions", "--verify", "--reassignment-json-file", plan, "--preserve-throttles")
    assert "is still in progress" in verified, verified
    assert eventually(lambda: placed(boards, "moved")[0][:2] == (others, sorted(others)), 120), placed(boards, "moved")
    # 3 MB to each of two boards from one leader at 200 kB a second in all: slow enough for the tools to see it under way.
    assert time.monotonic() - began > 10

    def completed():
        said = new_tools.ask("reassign-partitions", "--verify", "--reassignment-json-file", plan)
        return said if "Reassignment of partition moved-0 is completed" in said else None

    verified = eventually(completed, 30)
    assert verified and "Clearing broker-level throttles" in verified and "Clearing topic-level throttles" in verified, verified
    assert eventually(lambda: not os.path.exists(directory(boards, leader, "moved")), 60)
    assert consume(boards, "moved", 3000) == list(range(3000))
    # Backwards at a rate that never ends, and cancelled.
    plan = plan_file(tmp_path / "back.json", "moved", [leader], before[1][0])
    new_tools.ask("reassign-partitions", "--execute", "--reassignment-json-file", plan, "--throttle", 1)
    cancelled = new_tools.ask("reassign-partitions", "--cancel", "--reassignment-json-file", plan)
    assert "Successfully cancelled partition reassignment for: moved-0" in cancelled, cancelled
    assert eventually(lambda: sorted(placed(boards, "moved")[0][0]) == sorted(others), 30), placed(boards, "moved")
    assert "No partition reassignments found." in new_tools.ask("reassign-partitions", "--list")
    check(boards, "busy", numbers.end())


def test_move_survives(boards, tmp_path):
    """A move goes on whoever dies on the way: the controller, the one that copies, the one that is copied from."""
    make(boards, "t", 1, 1)
    produce(boards, "t", 4000, 1000)
    leader = led(boards, "t")[0][2]
    others = [number for number in (1, 2, 3) if number != leader]
    to = ",".join(map(str, others))
    command = [BINARY, "topic", "reassign", "t", "--to", to, "--replication", "2", "--throttle", "300KB"]
    waiting = subprocess.Popen([*command, "--bootstrap", bootstrap(boards)], stdout=subprocess.PIPE, text=True)
    assert eventually(lambda: len(placed(boards, "t")[0][0]) == 3, 20)
    for number in [boards.leader(), others[0], leader]:
        time.sleep(0.5)
        boards.members[number].kill()
        boards.start(number)
        boards.members[number].ready()
    out, _ = waiting.communicate(timeout=180)
    assert waiting.returncode == 0 and "have arrived" in out, out
    assert eventually(lambda: sorted(placed(boards, "t")[0][0]) == others, 30), placed(boards, "t")
    assert eventually(lambda: not os.path.exists(directory(boards, leader, "t")), 60)
    assert consume(boards, "t", 4000) == list(range(4000))


def test_our_reassignment(boards):
    """`tern topic reassign` raises topics of fewer copies, evenly, and empties a board; a dry run changes nothing."""
    for topic in ("a", "b"):
        make(boards, topic, 3, 1)
        produce(boards, topic, 100)
    planned = tern(boards, "topic", "reassign", "--all", "--replication", 3, "--dry-run")
    assert "6 partitions change, 12 copies are made" in planned, planned
    assert all(len(replicas) == 1 for replicas, _, _ in placed(boards, "a"))
    done = tern(boards, "topic", "reassign", "--all", "--replication", 3, "--wait")
    assert "all 6 partitions have arrived" in done, done
    now = lambda: [partition for topic in ("a", "b") for partition in placed(boards, topic)]  # noqa: E731

    def is_even(found):
        is_led = all(isr == [1, 2, 3] and leader == replicas[0] for replicas, isr, leader in found)
        return is_led and sorted(leader for _, _, leader in found) == [1, 1, 2, 2, 3, 3]

    assert eventually(lambda: is_even(now()), 30), now()
    assert "nothing to do" in tern(boards, "topic", "reassign", "--all", "--replication", 3)
    tern(boards, "topic", "reassign", "--replication", 2, "--without", 3, "--wait")
    assert eventually(lambda: all(sorted(replicas) == [1, 2] for replicas, _, _ in now()), 30), now()
    assert eventually(lambda: not os.path.exists(directory(boards, 3, "a")), 60)
    assert consume(boards, "a", 100) == list(range(100))
    tern(boards, "topic", "reassign", "nowhere", code=1)
    tern(boards, "topic", "reassign", "a", "--replication", 4, code=2)


def refused(boards, *arguments):
    """What our own command says when it does not begin."""
    command = [BINARY, "topic", "reassign", *map(str, arguments), "--bootstrap", bootstrap(boards)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, (command, done.stdout, done.stderr)
    return done.stderr


def test_moving_already(boards):
    """What is under way is not planned again: its copies are those that go and those that come."""
    make(boards, "big", 1, 1)
    produce(boards, "big", 1000, 1000)
    leader = led(boards, "big")[0][2]
    to, other = (number for number in (1, 2, 3) if number != leader)
    command = [BINARY, "topic", "reassign", "big", "--to", str(to), "--throttle", "1KiB", "--bootstrap", bootstrap(boards)]
    moving = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert eventually(lambda: len(placed(boards, "big")[0][0]) == 2, 20)
    for again in (("big", "--without", leader), ("big", "--to", to), ("--all", "--dry-run")):
        said = refused(boards, *again)
        assert "big-0 is moving already" in said and "--wait" in said and "--cancel" in said, (again, said)
    make(boards, "small", 1, 1)
    tern(boards, "topic", "reassign", "small", "--to", other)
    tern(boards, "topic", "reassign", "big", "--cancel")
    moving.communicate(timeout=60)
    assert eventually(lambda: placed(boards, "big")[0][0] == [leader], 30), placed(boards, "big")


def rates(boards, number):
    """The rates that a board has been given."""
    resource = ConfigResource(ConfigResource.Type.BROKER, str(number))
    admin = AdminClient({"bootstrap.servers": boards.members[number].kafka})
    found = admin.describe_configs([resource])[resource].result(20)
    values = [found.get(f"{side}.replication.throttled.rate") for side in ("leader", "follower")]
    return [value.value for value in values if value and value.value]


def test_no_rate_is_left(boards):
    """A move that does not begin, because a board has just died, leaves no rate behind."""
    make(boards, "t", 3, 1)
    led(boards, "t")
    dead = max(boards.followers())
    tern(boards, "topic", "reassign", "t", "--without", dead, "--wait")
    before = {number: rates(boards, number) for number in (1, 2, 3) if number != dead}
    boards.members[dead].kill()
    assert "the rate" not in refused(boards, "t", "--to", dead, "--throttle", "1KiB")
    assert {number: rates(boards, number) for number in before} == before
    own = tern(boards, "topic", "describe", "t", "--configs").splitlines()[0]
    assert "throttled" not in own, own


def test_preferred_leaders_come_back(boards, new_tools):
    """A clean stop hands leaderships over before it ends; they come back by themselves when the board has stayed."""
    make(boards, "led", 6, 3)
    assert eventually(lambda: all(isr == [1, 2, 3] for _, isr, _ in placed(boards, "led")), 60)
    numbers = Numbers(boards, "led")
    victim = boards.followers()[0]
    others = [member for number, member in boards.members.items() if number != victim]
    missed = lambda: sum(member.diagnostics().count(f"broker {victim} was silent") for member in others)  # noqa: E731
    before = missed()
    assert boards.members[victim].stop() == 0
    # The board that is asked may hear of it a moment later; nobody had to miss the victim for that.
    handed_over = lambda: all(leader not in (victim, -1) for _, _, leader in placed(boards, "led"))  # noqa: E731
    assert eventually(handed_over, 20), placed(boards, "led")
    assert missed() == before
    began = time.monotonic()
    boards.start(victim)
    boards.members[victim].ready()
    is_back = lambda: all(replicas[0] == leader for replicas, _, leader in placed(boards, "led"))  # noqa: E731
    assert eventually(is_back, 90), placed(boards, "led")
    assert time.monotonic() - began > 4, "it has not stayed for three sessions"
    check(boards, "led", numbers.end())
    new_tools.bootstrap = bootstrap(boards)
    elected = new_tools.ask("leader-election", "--election-type", "preferred", "--all-topic-partitions")
    assert "Error" not in elected, elected


def test_unclean_election(boards, new_tools, tmp_path):
    """A partition whose replicas in sync are gone stays offline, unless somebody says that records may be lost."""
    new_tools.bootstrap = bootstrap(boards)
    for topic in ("strict", "asked", "loose"):
        make(boards, topic, 1, 2, "--config", "min.insync.replicas=1")
    tern(boards, "topic", "alter", "loose", "--config", "unclean.leader.election.enable=true")
    plan = {"version": 1, "partitions": [{"topic": t, "partition": 0, "replicas": [1, 2]} for t in ("strict", "asked", "loose")]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    new_tools.ask("reassign-partitions", "--execute", "--reassignment-json-file", tmp_path / "plan.json")
    assert eventually(lambda: all(placed(boards, t)[0][1] == [1, 2] for t in ("strict", "asked", "loose")), 60)
    boards.members[2].kill()
    assert eventually(lambda: all(placed(boards, t)[0][1] == [1] for t in ("strict", "asked", "loose")), 60)
    boards.start(2)
    boards.members[1].kill()  # before 2 has caught up, or after: then it is in sync and leads without loss
    boards.members[2].ready()
    if all(placed(boards, t)[0][1] == [1] for t in ("strict", "asked", "loose")):
        assert eventually(lambda: placed(boards, "loose")[0][2] == 2, 60), placed(boards, "loose")
        assert placed(boards, "strict")[0][2] == -1
        new_tools.bootstrap = ",".join(boards.members[n].kafka for n in (2, 3))
        elected = new_tools.ask("leader-election", "--election-type", "unclean", "--topic", "asked", "--partition", 0)
        assert "Successfully completed leader election (UNCLEAN) for partitions asked-0" in elected, elected
        assert placed(boards, "strict")[0][2] == -1
    boards.start(1)
    boards.members[1].ready()
    assert eventually(lambda: all(placed(boards, t)[0][1] == [1, 2] for t in ("strict", "asked", "loose")), 60)


def test_an_emptied_replica_does_not_lead(boards):
    """A board that comes back with empty log.dirs leads nothing, where losing records is allowed, before the other copy is
    there: that one would be cut to nothing."""
    make(boards, "loose", 1, 2, "--config", "min.insync.replicas=1", "--config", "unclean.leader.election.enable=true")
    ((replicas, _, leader),) = led(boards, "loose")
    other = next(number for number in replicas if number != leader)
    produce(boards, "loose", 100)
    boards.members[other].kill()
    assert eventually(lambda: placed(boards, "loose")[0][1] == [leader], 60)
    produce(boards, "loose", 50)
    boards.members[leader].kill()
    shutil.rmtree(os.path.join(boards.members[leader].directory, "topics"))
    boards.start(leader)
    boards.members[leader].ready()
    time.sleep(8)  # an unclean election waits until nobody has come or gone for three sessions
    assert placed(boards, "loose")[0][2] == -1, placed(boards, "loose")
    boards.start(other)
    boards.members[other].ready()
    # Who led in between is told by the records: leadership goes back to the preferred replica once that has copied them.
    assert eventually(lambda: placed(boards, "loose")[0][1] == sorted(replicas), 90), placed(boards, "loose")
    assert consume(boards, "loose", 100) == list(range(100))


def test_tools_of_the_tree(boards, tmp_path):
    """Kafka 2.3's tools write their wish into the tree, and the controller does it."""
    tools = Tools("2.3", "", ahead=[str(jar) for jar in (INSTALLED / "zookeeper").glob("zookeeper-*.jar")])
    try:
        make(boards, "old", 1, 1)
        produce(boards, "old", 100)
        leader = led(boards, "old")[0][2]
        others = [number for number in (1, 2, 3) if number != leader]
        plan = plan_file(tmp_path / "plan.json", "old", others)
        tree = ["--zookeeper", boards.members[others[0]].zookeeper]
        begun = tools.run("reassign-partitions", *tree, "--execute", "--reassignment-json-file", plan)
        assert "Successfully started reassignment of partitions" in begun.out, begun
        assert eventually(lambda: placed(boards, "old")[0][:2] == (others, sorted(others)), 60)
        verified = lambda: tools.run("reassign-partitions", *tree, "--verify", "--reassignment-json-file", plan).out  # noqa: E731
        assert eventually(lambda: "Reassignment of partition old-0 completed successfully" in verified(), 60), verified()
        elected = tools.run("leader-election", *tree)
        assert "Successfully started preferred replica election" in elected.out or "created" in elected.out, elected
        assert consume(boards, "old", 100) == list(range(100))
    finally:
        tools.close()


def segments(boards, number, topic):
    """The segments of a partition on a board, by name."""
    path = directory(boards, number, topic)
    names = sorted(name for name in os.listdir(path) if name.endswith(".log")) if os.path.isdir(path) else []
    return {name: open(os.path.join(path, name), "rb").read() for name in names}


def flip(boards, number, topic, which=0):
    """Flips a bit in the middle of a segment, where no header is."""
    name = list(segments(boards, number, topic))[which]
    with open(os.path.join(directory(boards, number, topic), name), "r+b") as file:
        content = file.read()
        at = content.index(b"xxxxxxxx", len(content) // 2)
        file.seek(at)
        file.write(b"y")


def test_rot(boards):
    """A batch that rots on the leader's disk is never served: another board leads, and the range is copied again."""
    make(boards, "rotten", 1, 3, "--config", "segment.bytes=100000")
    assert eventually(lambda: placed(boards, "rotten")[0][1] == [1, 2, 3], 60)
    produce(boards, "rotten", 3000, 200)
    before = led(boards, "rotten")[0][2]
    whole = segments(boards, before, "rotten")
    assert len(whole) > 3
    flip(boards, before, "rotten", 1)
    assert segments(boards, before, "rotten") != whole

    def is_whole_again():
        # Rot is met where it is read: again, should another board have led by then.
        assert consume(boards, "rotten", 3000) == list(range(3000))
        return eventually(lambda: segments(boards, before, "rotten") == whole, 10)

    assert eventually(is_whole_again, 60)
    assert eventually(lambda: placed(boards, "rotten")[0][1] == [1, 2, 3], 60)
    # The same on a board that is off: it is met when the board leads again.
    assert boards.members[before].stop() == 0
    flip(boards, before, "rotten", 2)
    boards.start(before)
    boards.members[before].ready()
    assert eventually(lambda: placed(boards, "rotten")[0][2] == before, 90)
    assert eventually(is_whole_again, 60)
    produce(boards, "rotten", 10, 200)
