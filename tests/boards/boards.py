"""Virtual boards: emulated machines with 512 MB on a network of their own, inside a network namespace of this machine.

Whoever runs there talks to them as a laptop in that network would: by their names, through ssh, Kafka and MQTT.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import time

NAMESPACE = "tern-boards"
BRIDGE = "boards"
GATEWAY = "10.77.0.254"
MEMORY_MB = 512

KINDS = {
    "arm64": ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53"],
    # A Pi 5's core, whose kernel has pages of 16 KiB.
    "arm64-16k": ["qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a76"],
    "armhf": ["qemu-system-arm", "-machine", "virt", "-cpu", "cortex-a7"],
}


def command(*words, check=True, **options):
    return subprocess.run([str(word) for word in words], check=check, capture_output=True, text=True, **options)


class Network:
    """A bridge in a namespace; names of boards are in the namespace's own hosts file, and ssh there has the boards' key."""

    def __init__(self, boards, key, directory):
        self.end()
        command("ip", "netns", "add", NAMESPACE)
        for words in (
            f"link add {BRIDGE} type bridge mcast_snooping 0",
            f"link set {BRIDGE} up",
            f"addr add {GATEWAY}/24 dev {BRIDGE}",
            "link set lo up",
        ):
            command("ip", "-n", NAMESPACE, *words.split())
        for board in boards:
            command("ip", "-n", NAMESPACE, "tuntap", "add", board.tap, "mode", "tap")
            command("ip", "-n", NAMESPACE, "link", "set", board.tap, "master", BRIDGE, "up")
        etc = pathlib.Path("/etc/netns") / NAMESPACE
        etc.mkdir(parents=True, exist_ok=True)
        hosts = ["127.0.0.1 localhost"] + [f"{board.address} {board.name} {board.name}.local" for board in boards]
        (etc / "hosts").write_text("\n".join(hosts) + "\n")
        (etc / "ssh").mkdir(exist_ok=True)
        (etc / "ssh" / "ssh_config").write_text(ssh_config(key, directory))

    def end(self):
        command("ip", "netns", "del", NAMESPACE, check=False)
        shutil.rmtree(f"/etc/netns/{NAMESPACE}", ignore_errors=True)


class Board:
    """One machine. Its disk is a copy-on-write layer over the image, so that every run begins with a fresh system."""

    def __init__(self, number, kind, images, directory, rtc="utc"):
        self.number = number
        self.kind = kind
        self.name = f"pi{number}"
        self.tap = f"tap{number}"
        self.address = f"10.77.0.{number}"
        self.image = pathlib.Path(images) / kind
        self.directory = pathlib.Path(directory)
        self.disk = self.directory / f"{self.name}.qcow2"
        self.console = self.directory / f"{self.name}.console"
        self.rtc = rtc
        self.process = None
        base = self.image / "disk.img"
        command("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", self.disk, "4G")

    def switch_on(self):
        # A connection to what it was before would be waited for until its time is up.
        command("ip", "netns", "exec", NAMESPACE, "ssh", "-O", "exit", self.name, check=False)
        kernel_line = (
            f"root=/dev/vda rw console=ttyAMA0 quiet systemd.hostname={self.name} systemd.default_timeout_start_sec=900 "
            f"systemd.machine_id=7e4a0000000000000000000000000{self.number:03} "
            # What services complain of is on the console too: a journal on a file system that turned read-only keeps nothing.
            "systemd.journald.forward_to_console=1 systemd.journald.max_level_console=warning"
        )
        words = [
            "ip", "netns", "exec", NAMESPACE, *KINDS[self.kind], "-accel", "tcg,thread=multi", "-smp", "1",
            "-m", str(MEMORY_MB), "-nographic", "-no-reboot", "-rtc", f"base={self.rtc}",
            "-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd.gz", "-append", kernel_line,
            "-drive", f"file={self.disk},if=none,id=disk,format=qcow2,cache=writeback",
            "-device", "virtio-blk-device,drive=disk",
            "-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
            "-device", f"virtio-net-device,netdev=net,mac=52:54:00:77:00:{self.number:02x}",
            "-serial", f"file:{self.console}", "-monitor", "none",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def cut_power(self):
        """The emulator is gone between two of its instructions."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def is_on(self):
        return self.process is not None and self.process.poll() is None

    def said(self):
        """What stands on its console: kernel and service manager, and warnings of the services."""
        return self.console.read_text(errors="replace")

    def shell(self, script, check=True, seconds=120):
        """Runs a script on the board."""
        words = ["ip", "netns", "exec", NAMESPACE, "ssh", self.name, script]
        try:
            result = command(*words, check=False, timeout=seconds)
        except subprocess.TimeoutExpired:
            result = subprocess.CompletedProcess(words, 255, "", "no answer in time")
        if check and result.returncode != 0:
            raise AssertionError(f"{self.name}: {script!r} ended with {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout.strip()

    def wait_booted(self, seconds=300):
        def is_up():
            assert self.is_on(), f"{self.name} ended: {self.process.stderr.read().decode()}"
            return self.shell("systemctl is-system-running --wait", check=False, seconds=100) in ("running", "degraded")

        eventually(is_up, seconds, f"{self.name} does not boot; its console: {self.console}")


def eventually(condition, seconds, what):
    """Asks until the answer is true; how many seconds that took."""
    start = time.monotonic()
    while True:
        answer = condition()
        if answer:
            return time.monotonic() - start
        if time.monotonic() - start > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(1)


def ssh_config(key, directory):
    """What a laptop knows that has met its boards before; to others than the deployment they are open as root."""
    lines = [
        "Host pi*",
        "  User root",
        f"  IdentityFile {key}",
        "  IdentitiesOnly yes",
        "  StrictHostKeyChecking no",
        "  UserKnownHostsFile /dev/null",
        "  LogLevel ERROR",
        "  ConnectTimeout 15",
        f"  ControlPath {directory}/ssh-%C",
        "  ControlMaster auto",
        "  ControlPersist 30",
    ]
    return "\n".join(lines) + "\n"


def outside(*words, check=True, seconds=600, **options):
    """Runs a program of this machine in the boards' network."""
    words = ["ip", "netns", "exec", NAMESPACE, *[str(word) for word in words]]
    return command(*words, check=check, timeout=seconds, env=dict(os.environ), **options)
