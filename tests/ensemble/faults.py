"""What happens to boards. Each fault is a context: it breaks something, and what it broke is mended when it ends."""

import contextlib
import os
import signal
import time

STALL_SECONDS = 2.8


def others(boards, number):
    return [other for other in boards.members if other != number]


@contextlib.contextmanager
def killed(boards, number, _chance):
    """kill -9, and a start on what the disk has."""
    boards.members[number].kill()
    yield
    boards.restart(number)


@contextlib.contextmanager
def all_killed(boards, _number, _chance):
    """kill -9 of everybody at once: the fuse."""
    for member in boards.members.values():
        member.process.send_signal(signal.SIGKILL)
    for member in boards.members.values():
        member.process.wait(60)
    yield
    for member in boards.members.values():
        member.start()
    for member in boards.members.values():
        member.ready()


@contextlib.contextmanager
def paused(boards, number, _chance):
    """SIGSTOP for longer than a session lives: others lead meanwhile."""
    boards.members[number].process.send_signal(signal.SIGSTOP)
    yield
    boards.members[number].process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def stalled(boards, number, _chance):
    """A stall as Wi-Fi with power save makes them, and a second one after a breath."""
    for _ in range(2):
        boards.members[number].process.send_signal(signal.SIGSTOP)
        time.sleep(STALL_SECONDS)
        boards.members[number].process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
    yield


@contextlib.contextmanager
def unplugged(boards, number, _chance):
    """The cable is pulled: neither boards nor clients reach the board."""
    boards.network.unplug(number)
    yield
    boards.network.plug(number)


@contextlib.contextmanager
def losing(boards, ways):
    """Nothing arrives of what one board of each pair sends to the other."""
    for sender, receiver in ways:
        boards.network.lose(sender, receiver)
    yield
    for sender, receiver in ways:
        boards.network.deliver(sender, receiver)


def parted(boards, number, chance):
    """Two boards do not reach each other; both reach the third, and clients reach all."""
    other = chance.choice(others(boards, number))
    return losing(boards, [(number, other), (other, number)])


def mute(boards, number, _chance):
    """Nothing that the board sends to the others arrives; it hears them, and clients hear it."""
    return losing(boards, [(number, other) for other in others(boards, number)])


def deaf(boards, number, _chance):
    """Nothing that the others send reaches the board; they hear it."""
    return losing(boards, [(other, number) for other in others(boards, number)])


@contextlib.contextmanager
def disk_full(boards, number, _chance):
    """No byte of room is left on the board's disk."""
    filler = boards.members[number].fill_disk()
    yield
    os.unlink(filler)


@contextlib.contextmanager
def disk_lost(boards, number, _chance):
    """rm -rf of a running node's data, then its death: it comes back with an empty disk."""
    boards.members[number].lose_disk()
    time.sleep(0.2)
    boards.members[number].kill()
    yield
    boards.restart(number)


@contextlib.contextmanager
def restarted_in_turn(boards, _number, _chance):
    """Every board is stopped politely and started again, one at a time."""
    for each in boards.members:
        assert boards.members[each].stop() == 0, boards.members[each].diagnostics()[-2000:]
        boards.restart(each)
        boards.wait_whole(boards.topics)
    yield


@contextlib.contextmanager
def majority_lost(boards, number, chance):
    """One board dies while another has no cable: the third is alone, and acknowledges nothing."""
    other = chance.choice(others(boards, number))
    boards.members[number].kill()
    boards.network.unplug(other)
    yield
    boards.network.plug(other)
    boards.restart(number)


ALL = [killed, all_killed, majority_lost, paused, stalled, unplugged, parted, mute, deaf, disk_full, disk_lost, restarted_in_turn]
