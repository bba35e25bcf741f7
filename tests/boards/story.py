"""Three boards with 512 MB, made an ensemble by the README's own commands, switched off and on, cut from power under load; and
boards alone: one of armv7, and one whose kernel has pages of 16 KiB.

Every check prints a line when it holds; the first that does not ends the run with a sentence and the boards' consoles.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from boards import NAMESPACE, Board, Network, eventually, outside

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOPIC = "mqtt"
PAGE_BYTES = {"arm64-16k": 16 << 10}
#: Of a board with 512 MB: what its profile lets the process allocate.
BUDGET_BYTES = 64 << 20


class Story:
    """The boards of one run, and what holds of them so far."""

    def __init__(self, boards, directory):
        self.boards = boards
        self.directory = directory
        self.start = time.monotonic()
        self.acknowledged = []

    def holds(self, what):
        print(f"{time.monotonic() - self.start:7.0f} s  {what}", flush=True)

    def deploy(self):
        """What the README says for several boards, for these."""
        return self.run("cross/deploy " + " ".join(f"pi@{board.name}.local" for board in self.boards))

    def run(self, line, seconds=1800):
        """A line as it is typed on the laptop."""
        done = outside("bash", "-c", line, check=False, seconds=seconds, cwd=ROOT)
        print(f"$ {line}\n{done.stdout}", end="", flush=True)
        assert done.returncode == 0, f"it ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def status(self, board, seconds=60):
        """The status page of a board, or nothing."""
        done = outside("curl", "-s", "-m", "20", f"http://{board.name}.local:8080/status", check=False, seconds=seconds)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError:
            return {}

    def page(self, board):
        """The status page of a board, asked for until it comes."""
        found = []
        eventually(lambda: found.append(self.status(board)) or found[-1], 120, f"{board.name} shows its status")
        return found[-1]

    def is_healthy(self, boards=None):
        boards = boards or self.boards
        pages = [self.status(board) for board in boards]
        whole = all(page.get("ready") for page in pages)
        return whole and all(page["partitions"]["under_replicated"] == 0 for page in pages)

    def publish(self, board, text):
        """One message by MQTT with QoS 1, which is on two boards when this returns."""
        topic = f"sensors/{board.name}"
        host = ["-h", f"{board.name}.local", "-p", "1883"]
        words = ["mosquitto_pub", *host, "-V", "mqttv311", "-q", "1", "-t", topic, "-m", text]
        done = outside(*words, check=False, seconds=60)
        if done.returncode == 0:
            self.acknowledged.append(text)
        return done.returncode == 0

    def publish_at_last(self, board, text):
        """The same again until it is acknowledged; how often it was not."""
        for refused in range(100):
            if self.publish(board, text):
                return refused
        raise AssertionError(f"{board.name} acknowledges nothing any more")

    def read(self, board, topic=TOPIC):
        """All that a topic holds, read through one board."""
        words = ["kcat", "-C", "-q", "-b", f"{board.name}.local:9092", "-t", topic, "-o", "beginning", "-e"]
        return outside(*words, check=False, seconds=300).stdout.split()

    def nothing_lost(self, board, what):
        missing = set(self.acknowledged)

        def is_there():
            nonlocal missing
            missing = set(self.acknowledged) - set(self.read(board))
            return not missing

        eventually(is_there, 300, f"{what}: {len(missing)} acknowledged messages are missing")
        self.holds(f"{what}: all {len(self.acknowledged)} acknowledged messages are there")


def boot(story):
    for board in story.boards:
        board.switch_on()
    for board in story.boards:
        board.wait_booted(1200)
    story.holds(f"{len(story.boards)} boards have booted Debian 12 with systemd")


def guide():
    """The commands of the README's three Pis in ten minutes, as they stand there."""
    text = (ROOT / "README.md").read_text().split("## Three Pis in ten minutes", 1)[1].split("```")[1]
    install, *lines = [line.split("  #")[0].strip() for line in text.strip().splitlines()]
    assert install.startswith("sudo apt-get install"), install
    return lines


def deploy(story):
    line, publish, read, _ = guide()
    out = story.run(line)
    assert out.count("installing as number") == len(story.boards), out
    eventually(story.is_healthy, 600, "the ensemble is healthy")
    story.holds("cross/deploy has made an ensemble of them")
    story.run(publish)
    story.acknowledged.append("21.5")
    # It goes on for ever, as written; an interrupt ends it as one would.
    out = outside("timeout", "-s", "INT", "30", "bash", "-c", read, check=False).stdout
    assert out == "house/kitchen 21.5\n", out
    story.holds("MQTT in and Kafka out by the README's own lines")
    out = story.run(line)
    assert out.count("is up to date") == len(story.boards), out
    story.holds("cross/deploy again changes nothing")


def mqtt_to_kafka(story, count):
    first, last = story.boards[0], story.boards[-1]
    for index in range(count):
        assert story.publish(first, f"calm-{index}"), "a publish was not acknowledged"
    story.nothing_lost(last, f"MQTT into {first.name}, Kafka out of {last.name}")


def reboot(story):
    for board in story.boards:
        board.shell("sync; systemctl poweroff --no-block", check=False)
    for board in story.boards:
        eventually(lambda board=board: not board.is_on(), 600, f"{board.name} switches off")
    for board in story.boards:
        board.switch_on()
    for board in story.boards:
        board.wait_booted(1200)
        eventually(lambda board=board: board.shell("systemctl is-active tern", check=False) == "active", 300, "active after boot")
    story.holds("all switched off and on: the unit is active on every board")
    eventually(story.is_healthy, 600, "the ensemble is healthy after the boot")
    story.nothing_lost(story.boards[1], "after the boot")


def power_cut(story, count):
    """The board that leads most is cut from power while messages come in through the others."""
    led = {board: story.page(board)["partitions"]["led"] for board in story.boards}
    victim = max(led, key=led.get)
    others = [board for board in story.boards if board is not victim]
    refused = 0
    for index in range(count):
        if index == count // 3:
            victim.cut_power()
        refused += story.publish_at_last(others[index % len(others)], f"cut-{index}")
    story.nothing_lost(others[0], f"{victim.name}, which led {led[victim]} partitions, lost its power under load ({refused} tries again)")
    comes_back(story, victim, f"{victim.name} is back and in sync")


def comes_back(story, board, what):
    """A board that has no power is switched on, and has everything."""
    board.switch_on()
    board.wait_booted(1200)
    eventually(story.is_healthy, 900, f"{board.name} is back in sync")
    story.nothing_lost(board, what)


def upgrade(story):
    """A node that runs another build is replaced, the others are left alone, and settings that somebody wrote are kept."""
    board = story.boards[0]
    board.shell(
        "echo log.retention.hours=72 >>/etc/tern/tern.properties && cp /usr/bin/tern /usr/bin/tern.new "
        "&& printf x >>/usr/bin/tern.new && mv /usr/bin/tern.new /usr/bin/tern && systemctl restart tern"
    )
    eventually(story.is_healthy, 600, "healthy before the upgrade")
    line, _, _, upgrading = guide()
    out = story.run(line)
    assert f"{board.name}.local: runs another build and is left alone" in out, out
    out = story.run(upgrading)
    assert f"{board.name}.local: upgrading" in out and out.count("is up to date") == len(story.boards) - 1, out
    assert board.shell("tail -n 1 /etc/tern/tern.properties") == "log.retention.hours=72"
    story.holds("cross/deploy --upgrade replaces what is another build, and only that, and keeps what was set")


def reload(story):
    """systemctl reload takes over what can be taken over, while the node goes on."""
    board = story.boards[0]
    for level, said in (("debug", "Debug"), ("info", "Info")):
        board.shell(f"echo log.level={level} >>/etc/tern/tern.properties && systemctl reload tern")
        is_said = f"journalctl -q -b -u tern -o cat | grep -c 'log.level={said} is in force'"
        eventually(lambda: board.shell(is_said, check=False) not in ("", "0"), 60, f"log.level={level} is in force")
    assert board.shell("systemctl is-active tern") == "active"
    story.holds("systemctl reload takes over log.level")


def within_memory(story):
    peaks = []
    for board in story.boards:
        memory = story.page(board)["memory"]
        assert memory["budget_bytes"] == BUDGET_BYTES, memory["budget_bytes"]
        resident = int(board.shell("awk '/^VmHWM:/ { print $2 }' /proc/$(systemctl show -p MainPID --value tern)/status")) * 1024
        assert memory["allocated_peak_bytes"] <= BUDGET_BYTES and resident <= BUDGET_BYTES, (memory, resident)
        peaks.append(resident / (1 << 20))
    story.holds(f"memory within the profile's 64 MiB: resident at most {max(peaks):.1f} MiB")


def journal_clean(story):
    for board in story.boards:
        errors = board.shell("journalctl -q -b -p err -u tern -o cat", check=False)
        assert not errors, f"{board.name}: {errors}"
        assert "active" == board.shell("systemctl is-active tern")
        said = board.shell("journalctl -q -b -u tern -o cat")
        assert "panicked" not in said and "profile generic-512mb" in said, said
        assert not re.search(r"^\d{4}-\d\d-\d\dT", said, re.M), "the journal's lines have a second time"
    story.holds("journal: no error, no second clock; the board's profile was found")


def idle(story):
    """A quiet ensemble writes nothing to its cards."""
    syncs = lambda: [story.page(board)["disk"]["syncs"] for board in story.boards]  # noqa: E731

    def is_quiet():
        before = syncs()
        time.sleep(30)
        return syncs() == before

    eventually(is_quiet, 150, "half a minute without a sync on any board")
    story.holds("idle for 30 s: no sync on any board")


def clock_weeks_back(story):
    """A board boots with its clock weeks back, as boards without a battery do."""
    board = story.boards[-1]
    board.shell("sync; systemctl poweroff --no-block", check=False)
    eventually(lambda: not board.is_on(), 600, f"{board.name} switches off")
    board.rtc = "2026-01-01T00:00:00"
    board.switch_on()
    board.wait_booted(1200)
    eventually(story.is_healthy, 600, "healthy with a board whose clock is wrong")
    wall = board.shell("date +%F")
    assert wall < "2026-06", f"the clock of the board was to be wrong, and it is {wall}"
    assert story.publish(board, "from-the-past")
    story.nothing_lost(story.boards[0], f"{board.name} believes it is {wall}")


def root_read_only(story):
    """The root file system of a board turns read-only, as after an error of its card: the others go on, and it says why."""
    board, others = story.boards[0], story.boards[1:]
    board.shell("mount -o remount,errors=remount-ro / && echo 1 >/sys/fs/ext4/vda/trigger_fs_error; sleep 1", check=False)
    # Newer kernels go on telling "rw" of such a mount, and refuse every write.
    refusal = board.shell("touch /var/lib/probe 2>&1", check=False)
    assert "Read-only file system" in refusal, f"the root was to be read-only, and a write to it says {refusal!r}"
    for index in range(20):
        story.publish_at_last(others[index % len(others)], f"read-only-{index}")
    # Either it refuses records, or it ends, when a sync finds it out first.
    says_why = re.compile(r"tern\[\d+\]: .*read-only", re.IGNORECASE)
    eventually(lambda: says_why.search(board.said()), 180, f"{board.name} says that its disk is read-only")
    board.cut_power()
    comes_back(story, board, f"{board.name}: its root turned read-only, it said so, the others went on, and it is back")


def alone(story):
    """One board, a node alone: deployed, rebooted, and everything still there."""
    board = story.boards[0]
    boot(story)
    assert int(board.shell("getconf PAGESIZE")) == PAGE_BYTES.get(board.kind, 4 << 10)
    story.deploy()
    for index in range(10):
        assert story.publish(board, f"alone-{index}")
    story.nothing_lost(board, f"{board.kind}: MQTT in, Kafka out")
    board.shell("sync; systemctl poweroff --no-block", check=False)
    eventually(lambda: not board.is_on(), 600, f"{board.name} switches off")
    board.switch_on()
    board.wait_booted(1200)
    eventually(story.is_healthy, 600, "healthy after the boot")
    story.nothing_lost(board, f"{board.kind}: after a boot")
    within_memory(story)
    journal_clean(story)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", required=True)
    parser.add_argument("--directory", required=True)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("kind", choices=["arm64", "armhf", "arm64-16k"])
    options = parser.parse_args()
    directory = pathlib.Path(options.directory)
    directory.mkdir(parents=True, exist_ok=True)
    numbers = [1, 2, 3] if options.kind == "arm64" else [4]
    boards = [Board(number, options.kind, options.images, directory) for number in numbers]
    network = Network(boards, pathlib.Path(options.images) / "key", directory)
    story = Story(boards, directory)
    try:
        if len(boards) == 1:
            alone(story)
        else:
            boot(story)
            deploy(story)
            mqtt_to_kafka(story, 20)
            reboot(story)
            power_cut(story, 60)
            if not options.short:
                upgrade(story)
                reload(story)
                idle(story)
                clock_weeks_back(story)
                root_read_only(story)
            within_memory(story)
            journal_clean(story)
        print(f"{options.kind}: all of it held, {time.monotonic() - story.start:.0f} s", flush=True)
        return 0
    except (AssertionError, subprocess.SubprocessError) as error:
        print(f"{options.kind}: FAILED: {error}", flush=True)
        for board in boards:
            said = board.shell("journalctl -q -b -u tern -o cat | tail -n 15", check=False) if board.is_on() else "switched off"
            print(f"--- {board.name}\n{said}", flush=True)
        return 1
    finally:
        for board in boards:
            board.cut_power()
        network.end()


if __name__ == "__main__":
    assert os.geteuid() == 0, f"tests/boards needs root, for the network namespace {NAMESPACE}"
    sys.exit(main())
