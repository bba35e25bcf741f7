"""cross/deploy against boards that are not as it needs them, and the package's scripts; ssh, scp and a board's own tools are
stand-ins that work on directories."""

import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROFILE = os.environ.get("TERN_CROSS_PROFILE", "release")
BINARY = TARGET / "aarch64-unknown-linux-musl" / PROFILE / "tern"

#: $BOARDS/HOST is the root of a board: its scripts run here with their paths moved there. Where HOST.fails is a word of a script,
#: the script fails.
SSH = r"""#!/usr/bin/env bash
while [[ $1 == -* ]]; do
  [ "$1" != -O ] || exit 0
  shift 2
done
host=$1 command=${*:2}
export HOST=${host#*@}
export BOARD=$BOARDS/$HOST
[ -d "$BOARD" ] || { echo "ssh: connect to host $HOST port 22: No route to host" >&2; exit 255; }
case $command in
  "tern status"*) grep -lx active "$BOARDS"/*/state | sed 's/.*/"ready": true/'; exit 0 ;;
  "tern "*) exit 0 ;;
  *"sh -es"*) ;;
  *) bash -c "$command"; exit ;;
esac
script=$(cat)
if [ -e "$BOARD.fails" ] && [[ "$script" == *"$(cat "$BOARD.fails")"* ]]; then
  echo "No space left on device" >&2
  exit 1
fi
sed -E "s#/(etc|var/lib)/tern#$BOARD/\1/tern#g; s#/proc/\\\$pid/exe#$BOARD/exe#g" <<<"$script" | PATH=$BOARDS/tools:$PATH bash -c "$command"
"""

SCP = """#!/usr/bin/env bash
host=${*: -1}
basename "${*: -2:1}" >>"$BOARDS/copied"
cp "${*: -2:1}" "${host#*:}"
"""

#: What the scripts call on a board.
TOOLS = {
    "sudo": 'shift; exec "$@"',
    "chown": "exit 0",
    "sync": "exit 0",
    "uname": 'cat "$BOARD/machine"',
    "dpkg": """
if [ "$*" = --print-architecture ]; then cat "$BOARD/architecture"; exit; fi
echo "$HOST installed" >>"$BOARDS/log"
umask >>"$BOARDS/umask"
grep -rlsF hush "$TMPDIR" >>"$BOARDS/leaks"
[ ! -e "$BOARD/dpkg-fails" ] || { echo "No space left on device" >&2; exit 1; }
mkdir -p "$BOARD/etc/tern"
[ -e "$BOARD/etc/tern/tern.properties" ] || cp "$ROOT/systemd/tern.properties" "$BOARD/etc/tern/tern.properties"
ln -sf "$BINARY" "$BOARD/program"
""",
    "systemctl": """
case "$*" in
  is-active*) cat "$BOARD/state" ;;
  *MainPID*) grep -cx active "$BOARD/state" ;;
  *restart*)
    echo "$HOST restarted" >>"$BOARDS/log"
    echo active >"$BOARD/state"
    mv -f "$BOARD/program" "$BOARD/exe"
    ;;
esac
""",
}


#: What the package brings.
OWN = (ROOT / "systemd/tern.properties").read_text()


def lines(hosts):
    return "\n".join(f"server.{number}={host}:2888:3888;2181" for number, host in enumerate(hosts, 1))


class Boards:
    """What answers instead of boards."""

    def __init__(self, directory):
        self.directory = directory
        self.temporary = directory / "temporary"
        for name in ("tools", "temporary"):
            (directory / name).mkdir()
        programs = {"ssh": SSH, "scp": SCP, **{f"tools/{name}": f"#!/usr/bin/env bash\n{text}\n" for name, text in TOOLS.items()}}
        for name, text in programs.items():
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    def add(self, host, architecture="arm64", machine="aarch64", state="inactive", running=None, **files):
        """A board; of `files`, myid, secret, ensemble, own and stored are written as they are."""
        board = self.directory / host
        places = {
            "myid": "var/lib/tern/coordinator/myid",
            "stored": "var/lib/tern/coordinator/quorum-state",
            "secret": "etc/tern/secret",
            "ensemble": "etc/tern/ensemble.properties",
            "own": "etc/tern/tern.properties",
        }
        texts = {place: files[name] for name, place in places.items() if name in files}
        texts |= {"architecture": architecture, "machine": machine, "state": state, "exe": running or "none"}
        for place, text in texts.items():
            (board / place).parent.mkdir(parents=True, exist_ok=True)
            (board / place).unlink(missing_ok=True)
            (board / place).write_text(f"{text}\n")
        if running == "ours":
            (board / "exe").write_bytes(BINARY.read_bytes())

    def member(self, host, hosts, replicas=3, **facts):
        """A member of the ensemble of these hosts, as cross/deploy would have made it."""
        facts = {"state": "active", "running": "ours", "stored": "x", "own": OWN} | facts
        ensemble = f"{lines(hosts)}\ndefault.replication.factor={replicas}"
        self.add(host, myid=hosts.index(host) + 1, secret="hush", ensemble=ensemble, **facts)

    def file(self, host, place):
        return (self.directory / host / place).read_text()

    def fails(self, host, word):
        (self.directory / f"{host}.fails").write_text(word)

    def deploy(self, *words):
        places = {"BOARDS": self.directory, "TMPDIR": self.temporary, "BINARY": BINARY, "ROOT": ROOT}
        env = dict(os.environ, PATH=f"{self.directory}:{os.environ['PATH']}", **{name: str(place) for name, place in places.items()})
        command = [ROOT / "cross/deploy", "--no-build", "--wait", "5", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env=env, stdin=subprocess.DEVNULL)

    def refused(self, *words):
        """The one sentence of a run that fails."""
        done = self.deploy(*words)
        assert done.returncode != 0 and done.stderr.count("\n") == 1, (done.returncode, done.stderr)
        return done.stderr

    def unchanged(self, *words):
        """The sentence of a run that stops before it has done anything."""
        sentence = self.refused(*words)
        assert "nothing was changed anywhere" in sentence and self.log() == [], (sentence, self.log())
        return sentence

    def log(self, name="log"):
        path = self.directory / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def boards(tmp_path):
    return Boards(tmp_path)


def test_command_line(boards):
    """Mistakes on the command line are one sentence each."""
    assert "there is no host" in boards.refused()
    assert "a host stands twice" in boards.refused("pi@a", "a")
    assert "there is no option --force" in boards.refused("--force", "a")
    assert "--wait soon: allowed: seconds" in boards.refused("--wait", "soon", "a")
    boards.add("a")
    assert "fe80::1 is an IPv6 address" in boards.refused("fe80::1")
    assert "--replicas 3: there are 1 hosts" in boards.refused("--replicas", "3", "a")


def test_boards_that_do_not_fit(boards):
    """A host that is not there, or not for us, or of another ensemble, is told before anything is changed anywhere."""
    boards.add("a", myid="1", secret="x", ensemble=lines(["a"]))
    boards.add("twin", myid="1")
    boards.add("stranger", myid="2", secret="y", ensemble=lines(["stranger"]))
    boards.add("server", architecture="amd64", machine="x86_64")
    boards.add("zero", architecture="armhf", machine="armv6l")
    boards.add("bare", architecture="arm64\nno-systemd")
    for host, sentence in (
        ("away", "away cannot be used: ssh: connect to host away port 22: No route to host; nothing was changed anywhere"),
        ("twin", "two boards have the myid 1; nothing was changed anywhere"),
        ("stranger", "stranger and a have different secrets, so they belong to different ensembles; nothing was changed anywhere"),
        ("server", "server is amd64: there are packages for arm64 and armhf; nothing was changed anywhere"),
        ("zero", "zero is a board of armv6l, and the program needs ARMv7 or later; nothing was changed anywhere"),
        ("bare", "bare has no systemd"),
    ):
        assert sentence in boards.refused("a", host), host
    assert boards.log() == []


def test_fails_halfway(boards):
    """A board that fails in the middle stops the run: what was done is told, and the rest is not touched."""
    for host in "abc":
        boards.add(host)
    boards.fails("b", "--force-confold")
    sentence = "b failed while it was being installed; done: a, and nodes that run go on running; mend it and run the same command again"
    assert sentence in boards.deploy("a", "b", "c").stderr
    assert boards.log() == ["a installed", "a restarted"]


def test_half_an_upgrade(boards):
    """So does one that fails in the middle of an upgrade, and the same command goes on where it stopped."""
    for host in "abc":
        boards.member(host, "abc", running="another")
    boards.fails("b", "systemctl restart")
    sentence = "b failed while it was being started anew; upgraded before: a, and nodes that run go on running"
    assert sentence in boards.deploy("--upgrade", "a", "b", "c").stderr
    assert boards.log() == ["a installed", "a restarted", "b installed"]
    (boards.directory / "b.fails").unlink()
    (boards.directory / "log").unlink()
    done = boards.deploy("--upgrade", "a", "b", "c")
    assert done.returncode == 0 and "a: is up to date" in done.stdout, done.stdout + done.stderr
    assert boards.log() == ["b installed", "b restarted", "c installed", "c restarted"]


def test_left_alone(boards):
    """Without --upgrade, boards that run another build are left alone."""
    for host in "abc":
        boards.member(host, "abc", running="another")
    done = boards.deploy("a", "b", "c")
    assert done.returncode == 0 and done.stdout.count("runs another build and is left alone") == 3, done.stdout + done.stderr
    assert boards.log() == []


def test_safe_to_repeat(boards):
    """Boards that are new become an ensemble, and the same line again changes nothing."""
    for host in "abc":
        boards.add(host)
    done = boards.deploy("a", "pi@b", "c")
    assert done.returncode == 0, done.stdout + done.stderr
    assert boards.log() == [f"{host} {what}" for host in "abc" for what in ("installed", "restarted")]
    assert lines("abc") in boards.file("b", "etc/tern/ensemble.properties")
    assert boards.file("b", "var/lib/tern/coordinator/myid") == "2\n"
    assert len({boards.file(host, "etc/tern/secret") for host in "abc"}) == 1
    done = boards.deploy("a", "pi@b", "c")
    assert done.returncode == 0 and done.stdout.count("is up to date") == 3, done.stdout + done.stderr
    assert len(boards.log()) == 6


def test_alone_is_repeated(boards):
    """So does a node alone; under another name it is told."""
    boards.add("a")
    assert boards.deploy("a").returncode == 0
    done = boards.deploy("a")
    assert done.returncode == 0 and "a: is up to date" in done.stdout, done.stdout + done.stderr
    (boards.directory / "log").unlink()
    (boards.directory / "a.local").symlink_to("a")
    sentence = boards.unchanged("a.local")
    assert "a.local runs alone under the name a; nothing" in sentence and "sudo systemctl stop tern" in sentence, sentence


def test_a_node_alone_is_no_member(boards):
    """A board that runs, or ran, alone is not made a member: its records would be lost, which somebody has to want."""
    boards.add("b")
    boards.add("c")
    alone = "advertised.host.name=a"
    sentence = "a is a node alone with records of its own, which an ensemble cannot take over; nothing was changed anywhere; leave it out"
    for facts in (
        {"state": "active", "myid": 1, "ensemble": alone, "own": OWN, "stored": "x", "secret": "x"},
        {"state": "active", "own": OWN, "stored": "x"},
        {"state": "failed", "own": OWN, "stored": "x"},
    ):
        boards.add("a", **facts)
        assert sentence in boards.unchanged("a", "b", "c"), facts
        for path in (boards.directory / "a").glob("*/**/*"):
            if path.is_file():
                path.unlink()
    # Its records were given up.
    boards.add("a", myid=1, ensemble=alone, own=OWN, secret="x")
    (boards.directory / "a/var/lib/tern/coordinator/myid").unlink()
    boards.add("b", myid=1, ensemble=alone, own=OWN, secret="y")
    (boards.directory / "b/var/lib/tern/coordinator/myid").unlink()
    done = boards.deploy("a", "b", "c")
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_of_several(boards):
    """A member is not made a node alone, whether it runs or has failed: the hosts that are missing are named."""
    for state in ("active", "failed", "inactive"):
        boards.member("b", "abc", state=state)
        assert "b belongs to an ensemble with a c as well; nothing was changed anywhere; name all of its hosts" in boards.unchanged("b")
    boards.member("a", "abc")
    assert "a belongs to an ensemble with c as well" in boards.unchanged("a", "b")


def test_one_more(boards):
    """A further host for a running ensemble is told how it becomes a member, and then becomes one."""
    for host in "abc":
        boards.member(host, "abc")
    boards.add("d")
    sentence = boards.unchanged("a", "b", "c", "d")
    assert "the ensemble of a does not have d yet" in sentence and "tern node add --wait 0 'server.4=d:2888:3888;2181'" in sentence, sentence
    for host in "abc":
        path = boards.directory / host / "etc/tern/ensemble.properties"
        path.write_text(path.read_text() + "server.4=d:2888:3888:participant;2181\n")
    done = boards.deploy("a", "b", "c", "d")
    assert done.returncode == 0 and boards.log() == ["d installed", "d restarted"], done.stdout + done.stderr
    assert lines("abcd") in boards.file("d", "etc/tern/ensemble.properties")


def test_other_names(boards):
    """Other names or another number of copies than a running ensemble has are told, not taken for what is there."""
    for host in "abc":
        boards.member(host, "abc")
        (boards.directory / f"{host}.local").symlink_to(host)
    sentence = boards.unchanged("a.local", "b.local", "c.local")
    for host in "abc":
        (boards.directory / f"{host}.local").unlink()
    assert "a.local belongs to an ensemble with other server lines than these hosts give" in sentence, sentence
    sentence = boards.unchanged("--replicas", "2", "a", "b", "c")
    assert "a has default.replication.factor=3 and not 2" in sentence and "leave --replicas out" in sentence, sentence
    assert boards.deploy("--replicas", "3", "a", "b", "c").returncode == 0
    assert boards.log() == []


def test_copies_are_kept(boards):
    """An upgrade writes the number of copies that the boards have."""
    for host in "abc":
        boards.member(host, "abc", replicas=2, running="another")
    assert boards.deploy("--upgrade", "a", "b", "c").returncode == 0
    assert "\ndefault.replication.factor=2\n" in boards.file("a", "etc/tern/ensemble.properties")


def test_a_member_comes_back(boards):
    """A member whose card is new gets the number that the others know it by, in whatever order hosts are named."""
    boards.member("a", "abc")
    boards.add("b")
    boards.add("c")
    done = boards.deploy("c", "b", "a")
    assert done.returncode == 0, done.stdout + done.stderr
    assert boards.file("b", "var/lib/tern/coordinator/myid") == "2\n" and boards.file("b", "etc/tern/secret") == "hush\n"


def test_another_directory(boards):
    """A board whose records lie elsewhere is not given a myid where nobody looks for it."""
    boards.add("a", own=OWN.replace("dataDir=/var/lib/tern", "dataDir = /mnt/ssd"))
    boards.add("b")
    sentence = boards.unchanged("a", "b")
    assert "a has dataDir=/mnt/ssd/coordinator" in sentence and "mount that disk at /var/lib/tern" in sentence, sentence


def test_secret_stays_secret(boards):
    """Neither files on the way nor a failed installation show the secret, and the package is installed with the usual umask."""
    boards.member("a", "ab")
    boards.add("b")
    (boards.directory / "b/dpkg-fails").touch()
    assert "b failed while it was being installed" in boards.deploy("a", "b").stderr
    (boards.directory / "b/dpkg-fails").unlink()
    assert boards.deploy("a", "b").returncode == 0
    secret = boards.directory / "b/etc/tern/secret"
    assert secret.read_text() == "hush\n" and secret.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in secret.parent.iterdir()} == {"secret", "ensemble.properties", "tern.properties"}
    assert all(name.endswith(".deb") for name in boards.log("copied"))
    assert boards.log("leaks") == [] and set(boards.log("umask")) == {f"{current_umask():04o}"}
    assert list(boards.temporary.iterdir()) == []


def current_umask():
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


class Package:
    """The package's scripts as dpkg would call them, on a root in a directory, with a unit that is a file."""

    def __init__(self, directory):
        self.root = directory / "root"
        self.tools = directory / "package-tools"
        for path in ("run/systemd/system", "etc/systemd/system", "etc/tern", "usr/share/tern", "var/lib/tern/coordinator"):
            (self.root / path).mkdir(parents=True)
        (self.root / "usr/share/tern/back-off.conf").touch()
        (self.root / "unit").write_text("inactive\n")
        self.tools.mkdir()
        tools = {
            "systemctl": 'case $1 in --version) echo "systemd 257" ;; is-active) cat "$DPKG_ROOT/unit"; grep -qx active "$DPKG_ROOT/unit" ;; esac',
            "deb-systemd-helper": "exit 0",
            "systemd-sysusers": "exit 0",
            "deb-systemd-invoke": """
echo "$1" >>"$DPKG_ROOT/said"
case $1 in start) echo active >"$DPKG_ROOT/unit" ;; stop) echo inactive >"$DPKG_ROOT/unit" ;; esac
""",
        }
        for name, text in tools.items():
            (self.tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (self.tools / name).chmod(0o755)

    def script(self, name, *words, **env):
        """What a script printed, and what it did to the unit."""
        env = dict(os.environ, DPKG_ROOT=str(self.root), PATH=f"{self.tools}:{os.environ['PATH']}", **env)
        (self.root / "said").write_text("")
        words = ["sh", ROOT / "systemd/debian" / name, *words]
        done = subprocess.run(words, capture_output=True, text=True, env=env, check=True, umask=0o077)
        return done.stdout, (self.root / "said").read_text().split()

    def unit(self):
        return (self.root / "unit").read_text().strip()


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


def test_first_install_does_not_start(package):
    """A board that nobody has configured yet is not made server 1 of an ensemble of its own, and says what comes next."""
    said, done = package.script("postinst", "configure", "")
    assert done == [] and said.count("\n") == 1 and "edit /etc/tern/tern.properties" in said, (said, done)
    assert package.script("postinst", "configure", "", TERN_KEEP_RUNNING="1") == ("", [])
    (package.root / "var/lib/tern/coordinator/quorum-state").touch()
    assert package.script("postinst", "configure", "") == ("", ["start"]), "what was a node goes on as that"


def test_upgrade_and_removal(package):
    """An upgrade restarts what runs; what was removed while it ran runs again once it is installed again, what was stopped stays so."""
    (package.root / "unit").write_text("active\n")
    assert package.script("prerm", "upgrade", "2")[1] == []
    assert package.script("postinst", "configure", "1")[1] == ["try-restart"]
    assert package.script("postinst", "configure", "1", TERN_KEEP_RUNNING="1")[1] == []
    package.script("prerm", "remove")
    package.script("postrm", "remove")
    assert package.unit() == "inactive"
    assert package.script("postinst", "configure", "1")[1] == ["start"] and package.unit() == "active"
    package.script("prerm", "remove")
    (package.root / "unit").write_text("inactive\n")
    assert package.script("postinst", "configure", "1")[1] == ["start"]
    (package.root / "unit").write_text("inactive\n")
    package.script("prerm", "remove")
    assert package.script("postinst", "configure", "1")[1] == ["try-restart"] and package.unit() == "inactive"


def test_back_off_is_readable(package):
    """What the package puts beside the unit is for everybody to read, whatever umask it is installed with."""
    package.script("postinst", "configure", "")
    directory = package.root / "etc/systemd/system/tern.service.d"
    assert directory.stat().st_mode & 0o777 == 0o755 and (directory / "back-off.conf").stat().st_mode & 0o777 == 0o644


def test_wifi_before_own_keys():
    """The link for Wi-Fi that is told sorts before the user's own keys, which have the last word, and the README tells the same."""
    told = r"ln -s /usr/share/tern/boards/wifi.properties /etc/tern/(\S+\.properties)"
    name = re.search(told, (ROOT / "boards/wifi.properties").read_text())[1]
    assert name < "ensemble.properties" < "tern.properties"
    assert re.search(told, (ROOT / "README.md").read_text())[1] == name
