"""The boards' binaries and packages on this machine: the binaries run under qemu-user, the packages are taken apart."""

import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "compat"))

import node as nodes  # noqa: E402

TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROFILE = os.environ.get("TERN_CROSS_PROFILE", "release")
BOARDS = {
    "aarch64": ("aarch64-unknown-linux-musl", "qemu-aarch64-static", 183, "arm64"),
    "armv7": ("armv7/armv7-unknown-linux-musleabihf", "qemu-arm-static", 40, "armhf"),
}


@pytest.fixture(params=BOARDS)
def board(request):
    target, emulator, machine, architecture = BOARDS[request.param]
    return {
        "binary": TARGET / target / PROFILE / "tern",
        "emulator": emulator,
        "machine": machine,
        "package": architecture,
    }


def needs(tool):
    """A tool that is missing is a failure under CI and skips the test elsewhere."""
    if not shutil.which(tool):
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {tool}")


def run(board, *words, **options):
    return subprocess.run([board["emulator"], board["binary"], *words], capture_output=True, text=True, **options)


def segments(path):
    """Type and alignment of each program header of an ELF file, and its machine."""
    data = path.read_bytes()
    is_64 = data[4] == 2
    machine = struct.unpack_from("<H", data, 18)[0]
    offset = struct.unpack_from("<Q" if is_64 else "<I", data, 32 if is_64 else 28)[0]
    size, count = struct.unpack_from("<HH", data, 54 if is_64 else 42)
    found = []
    for index in range(count):
        at = offset + index * size
        kind = struct.unpack_from("<I", data, at)[0]
        found.append((kind, struct.unpack_from("<Q" if is_64 else "<I", data, at + (48 if is_64 else 28))[0]))
    return machine, found


def test_static(board):
    """It is small and for the right machine, needs no library of the board, and its segments lie apart by pages of 16 KiB."""
    machine, found = segments(board["binary"])
    assert machine == board["machine"]
    assert not [kind for kind, _ in found if kind == 3], "it names an interpreter"
    assert PROFILE != "release" or board["binary"].stat().st_size <= 6 << 20
    if board["package"] == "arm64":
        assert all(alignment >= 1 << 14 for kind, alignment in found if kind == 1), found


def test_speaks(board):
    """Version, each profile by wire and by Wi-Fi, and a mistake of the user, as on any machine."""
    assert re.match(r"tern \d", run(board, "--version").stdout)
    wifi = ROOT / "boards" / "wifi.properties"
    profiles = sorted(set((ROOT / "boards").glob("*.properties")) - {wifi})
    assert len(profiles) == 6
    for profile in profiles:
        budget = re.search(r"^memory.budget=(\d+)MiB$", profile.read_text(), re.M)[1]
        for files in ([profile], [profile, wifi]):
            checked = run(board, "check-config", *files)
            assert checked.returncode == 0 and f"of memory.budget={budget} MiB" in checked.stdout, (files, checked.stderr)
    assert run(board, "check-config", "--set", "memory.budget=1").returncode == 2


@pytest.mark.parametrize(
    ("board", "page_kib"), [("aarch64", 4), ("aarch64", 16), ("armv7", 4)], indirect=["board"]
)
def test_serves(board, page_kib, tmp_path, monkeypatch):
    """Kafka and MQTT go in, Kafka comes out, before and after a kill; for aarch64 also with a Raspberry Pi 5's pages."""
    monkeypatch.setattr(nodes, "BINARY", str(board["binary"]))

    class Emulated(nodes.Node):
        def within(self):
            pages = [] if page_kib == 4 else ["-p", str(page_kib << 10)]
            return [board["emulator"], *pages]

    node = Emulated(tmp_path)
    try:
        for text in ("one", "two"):
            subprocess.run(
                ["kcat", "-P", "-b", node.kafka, "-t", "mqtt", "-m", "60", "-X", "acks=all"],
                input=text + "\n", text=True, check=True, timeout=120,
            )  # fmt: skip
        host, port = node.mqtt
        subprocess.run(
            ["mosquitto_pub", "-h", host, "-p", str(port), "-q", "1", "-t", "house/kitchen", "-m", "three"],
            check=True, timeout=120,
        )  # fmt: skip
        node.kill()
        node.start()
        words = ["kcat", "-C", "-b", node.kafka, "-t", "mqtt", "-o", "beginning", "-e", "-q", "-m", "60"]
        read = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        assert sorted(read.stdout.split()) == ["one", "three", "two"]
        assert node.stop() == 0, node.diagnostics()
        assert "panicked" not in node.diagnostics()
    finally:
        if node.process.poll() is None:
            node.kill()


@pytest.fixture
def package(board):
    found = sorted((TARGET / "debian").glob(f"tern_*_{board['package']}.deb"))
    assert found, "cross/package has made none"
    return found[-1]


def test_package(board, package, tmp_path):
    """The package holds the binary, the unit and the profiles; settings of the user are conf-files."""
    subprocess.run(["dpkg-deb", "-R", package, tmp_path], check=True)
    assert (tmp_path / "usr/bin/tern").read_bytes() == board["binary"].read_bytes()
    assert (tmp_path / "DEBIAN/conffiles").read_text().split() == ["/etc/tern/tern.properties"]
    for name in ("usr/lib/systemd/system/tern.service", "usr/lib/sysusers.d/tern.conf", "usr/share/tern/boards/pi-4.properties"):
        assert (tmp_path / name).exists(), name
    field = subprocess.run(["dpkg-deb", "-f", package, "Architecture"], capture_output=True, text=True, check=True)
    assert field.stdout.strip() == board["package"]
    for script in ("preinst", "postinst", "prerm", "postrm"):
        subprocess.run(["sh", "-n", tmp_path / "DEBIAN" / script], check=True)


def test_lintian(package):
    """lintian finds no error but that the binary is static, as is meant, and that its maker has no mail host."""
    needs("lintian")
    meant = ["statically-linked-binary", "bogus-mail-host", "bogus-mail-host-in-debian-changelog"]
    if PROFILE != "release":
        meant.append("unstripped-binary-or-object")
    words = ["lintian", "--allow-root", "--fail-on", "error", "--suppress-tags", ",".join(meant), package]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hardening(tmp_path):
    """systemd finds the unit's exposure at most 1.5."""
    needs("systemd-analyze")
    words = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", ROOT / "systemd/tern.service"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:]


def test_too_old_a_board(package, tmp_path):
    """A board of ARMv6, whose Debian has the same name as the one of ARMv7, is told before anything is unpacked."""
    subprocess.run(["dpkg-deb", "-e", package, tmp_path / "control"], check=True)
    (tmp_path / "uname").write_text("#!/bin/sh\necho armv6l\n")
    (tmp_path / "uname").chmod(0o755)
    words = ["sh", tmp_path / "control" / "preinst", "install"]
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 1 and "needs ARMv7 or later" in done.stderr, done.stderr
    assert subprocess.run(words).returncode == 0


def test_another_architecture(board, package, tmp_path):
    """The package of another machine is refused before anything is unpacked."""
    own = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
    if own == board["package"]:
        pytest.skip("it is this machine's own")
    (tmp_path / "var/lib/dpkg/updates").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/info").mkdir()
    (tmp_path / "var/lib/dpkg/status").touch()
    words = ["dpkg", f"--root={tmp_path}", "--no-act", "--install", package]
    done = subprocess.run(words, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"))
    assert done.returncode != 0 and "does not match system" in done.stderr, done.stderr
