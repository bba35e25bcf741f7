"""The judge itself: histories with one wrong thing in them, and what it says of each."""

from history import History, check_consumed, check_log, check_replicas, check_sensors

LOG = {(0, 0): b"a 0", (0, 1): b"b 0", (0, 2): b"a 1", (1, 0): b"a 2"}


def acknowledged(log):
    history = History()
    for place, value in log.items():
        history.produced(("t", *place), value)
    return history


def test_a_good_history():
    """What agrees with the log breaks no rule."""
    history = acknowledged(LOG)
    for place, value in LOG.items():
        history.read(("t", *place), value)
    assert not check_log(history, "t", LOG) and not check_consumed(history, "t", LOG) and not history.broken


def test_lost_changed_doubled_overtaken():
    """Each of them is told."""
    history = acknowledged(LOG)
    lost = {place: value for place, value in LOG.items() if place != (0, 2)}
    assert [sentence[:5] for sentence in check_log(history, "t", lost)] == ["lost:"]
    changed = {**LOG, (0, 2): b"a 7"}
    assert [sentence[:5] for sentence in check_log(history, "t", changed)] == ["lost:"]
    doubled = {**LOG, (1, 1): b"a 2"}
    assert {sentence.split(":")[0] for sentence in check_log(history, "t", doubled)} == {"order", "doubled"}
    overtaken = {**LOG, (0, 0): b"a 1", (0, 2): b"a 0"}
    assert {sentence.split(":")[0] for sentence in check_log(acknowledged(overtaken), "t", overtaken)} == {"order"}


def test_acknowledged_as_a_retry():
    """Without an offset: it must be there, wherever."""
    history = acknowledged(LOG)
    history.produced(("t", 0, None), b"a 0")
    history.produced(("t", 0, None), b"a 1")
    assert not check_log(history, "t", LOG) and not history.broken
    history.produced(("t", 0, None), b"a 9")
    assert [sentence[:5] for sentence in check_log(history, "t", LOG)] == ["lost:"]


def test_one_offset_twice():
    """An offset acknowledged for two records is told at once."""
    history = acknowledged(LOG)
    history.produced(("t", 0, 1), b"b 1")
    assert len(history.broken) == 1


def test_commits_that_go_back():
    """By an acknowledgement, and by a look after one; a commit or a look that began before it proves nothing."""
    history = History()
    history.commit_acknowledged(history.commit_floor(), 0, 10)
    before = history.commit_floor()
    history.commit_acknowledged(before, 0, 20)
    history.commit_acknowledged(before, 0, 15)
    history.commit_seen(before, 0, 15)
    assert not history.broken
    history.commit_seen(history.commit_floor(), 0, 15)
    history.commit_acknowledged(history.commit_floor(), 0, 12)
    assert len(history.broken) == 2


def test_what_the_group_did_not_read():
    """A record without a reader, and a record that was read differently."""
    history = acknowledged(LOG)
    for place, value in LOG.items():
        if place != (1, 0):
            history.read(("t", *place), value)
    assert check_consumed(history, "t", LOG) == ["the group never read (1, 0)"]
    history.read(("t", 1, 0), b"a 9")
    assert len(check_consumed(history, "t", LOG)) == 1


def test_sensors():
    """Lost, overtaken, doubled without a second sending; doubled with one is no fault."""
    history = History()
    history.published["s"] = [0, 1, 2]
    found = lambda *numbers: {(0, at): b"s %d" % number for at, number in enumerate(numbers)}  # noqa: E731
    assert not check_sensors(history, found(0, 1, 2, 3))
    assert check_sensors(history, found(0, 2))[0].startswith("lost")
    assert check_sensors(history, found(0, 2, 1))[0].startswith("order")
    assert check_sensors(history, found(0, 1, 1, 2))[0].startswith("doubled")
    history.sent_again["s"].add(1)
    assert not check_sensors(history, found(0, 1, 2, 1))


def test_registers():
    """A write that is gone, a write done twice."""
    history = History()
    history.register_written("r", 5)
    history.register_seen("r", history.registers["r"], 5, 5)
    assert not history.broken
    history.register_seen("r", history.registers["r"], 4, 4)
    history.register_seen("r", history.registers["r"], 6, 7)
    assert len(history.broken) == 2


def test_replicas_that_differ():
    """In a value, or in a record that one of them has not."""
    other = {**LOG, (0, 1): b"b 5"}
    assert len(check_replicas({1: LOG, 2: LOG, 3: other})) == 1
    assert len(check_replicas({1: LOG, 2: {place: LOG[place] for place in list(LOG)[:2]}})) == 2
