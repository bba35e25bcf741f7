"""tern zk and its shell against the real binary, with kazoo as the witness; and completion in a real bash."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest
from kazoo.client import KazooClient
from node import BINARY, eventually


# An empty line of the shell, which then waits for keys.
PROMPT = rb"\d> \x1b\[K"


def server(node):
    return node.ports["zookeeper"]


def zk(node, *arguments, text=None, code=0, seconds=120):
    command = [BINARY, "zk", *arguments, "--server", server(node)]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    assert ran.returncode == code, f"{command} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout if code == 0 else ran.stderr


@pytest.fixture(scope="module")
def witness(node):
    client = KazooClient(hosts=server(node), timeout=30)
    client.start(60)
    yield client
    client.stop()
    client.close()


def test_everyday_znodes(node, witness):
    """create, get, set with versions, ls, stat, tree and delete do what kazoo sees."""
    assert zk(node, "create", "/app1", "Hello, app1") == "/app1\n"
    assert witness.get("/app1")[0] == b"Hello, app1"
    witness.set("/app1", "grün".encode())
    assert zk(node, "get", "/app1") == "grün\n"
    assert zk(node, "get", "--hex", "/app1") == "6772c3bc6e\n"
    zk(node, "set", "/app1", "third", "-v", "1")
    assert "version" in zk(node, "set", "/app1", "x", "-v", "1", code=1)
    assert "dataVersion = 2" in zk(node, "stat", "/app1")
    zk(node, "set", "/app1", "-", text="from stdin")
    assert witness.get("/app1")[0] == b"from stdin"
    assert "-p" in zk(node, "create", "/a/b/c", code=1)
    zk(node, "create", "-p", "/a/b/c", "deep")
    assert zk(node, "ls", "-R", "/a") == "/a\n/a/b\n/a/b/c\n"
    assert "└── c = deep" in zk(node, "tree", "--data", "/a")
    assert "(1 below)" in zk(node, "tree", "--depth", "1", "/a")
    assert "-R" in zk(node, "delete", "/a", code=1)
    zk(node, "delete", "-R", "/a")
    assert not witness.exists("/a")
    assert "tern zk create" in zk(node, "get", "/a", code=1)
    assert "no path" in zk(node, "ls", "a", code=2)
    assert {"app1", "zookeeper", "brokers"} <= set(zk(node, "ls", "/").split())
    zk(node, "delete", "/app1")


def test_kinds_of_znodes(node, witness):
    """Sequential, ephemeral for as long as the command runs, container, TTL."""
    zk(node, "create", "/queue")
    assert zk(node, "create", "--sequential", "/queue/item-") == "/queue/item-0000000000\n"
    assert zk(node, "create", "-s", "/queue/item-", "x") == "/queue/item-0000000001\n"
    holder = subprocess.Popen([BINARY, "zk", "create", "-e", "/alive", "here", "--server", server(node)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "/alive\n"
        assert witness.exists("/alive").ephemeralOwner != 0
        holder.send_signal(signal.SIGINT)
        assert holder.wait(60) == 0
    finally:
        holder.kill()
    assert not witness.exists("/alive")
    assert zk(node, "create", "--container", "/box") == "/box\n"
    zk(node, "delete", "/box")
    zk(node, "delete", "-R", "/queue")


def test_acl(node, witness):
    """acl prints and replaces lists; credentials open what is closed."""
    zk(node, "create", "/secret", "x")
    assert zk(node, "acl", "/secret") == "world:anyone:cdrwa\n"
    me = ("--auth", "digest:me:word")
    zk(node, "acl", "/secret", "--set", "world:anyone:r", "--set", "auth::cdrwa", *me)
    assert zk(node, "acl", "/secret").splitlines()[0] == "world:anyone:r"
    assert [acl.id.scheme for acl in witness.get_acls("/secret")[0]] == ["world", "digest"]
    assert "--auth" in zk(node, "set", "/secret", "y", code=1)
    zk(node, "set", "/secret", "y", *me)
    assert "digest:me" in zk(node, "whoami", *me)
    assert "RIGHTS" in zk(node, "acl", "/secret", "--set", "world:anyone:q", code=2)
    zk(node, "delete", "/secret")


def test_watch_over_a_restart(own_node):
    """watch prints each change, and those that happened while its server was away."""
    node = own_node
    watcher = subprocess.Popen([BINARY, "zk", "watch", "-R", "/w", "--data", "--server", server(node)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        def is_watched():
            with urllib.request.urlopen(f"http://{node.http}/commands/monitor", timeout=60) as page:
                return json.load(page)["watch_count"] > 0

        assert eventually(is_watched)
        zk(node, "create", "/w", "1")
        assert watcher.stdout.readline().endswith("created /w = 1\n")
        assert watcher.poll() is None
        node.kill()
        node.start()
        zk(node, "set", "/w", "2")
        zk(node, "create", "/w/child", "3")
        told = ""
        while "changed /w = 2" not in told or "/w/child" not in told:
            line = watcher.stdout.readline()
            assert line, (told, watcher.stderr.read())
            told += line
        assert (told.count("changed /w = 2"), told.count("created /w/child")) == (1, 1), told
        watcher.send_signal(signal.SIGINT)
        watcher.communicate(timeout=60)
        assert eventually(lambda: not is_watched())
        words = [BINARY, "zk", "watch", "/w", "-c", "1", "--server", server(node)]
        counted = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert eventually(is_watched)
        zk(node, "set", "/w", "3")
        assert counted.communicate(timeout=60)[0].endswith("changed /w\n") and counted.returncode == 0
    finally:
        watcher.kill()


def test_shell_runs_scripts(node, witness):
    """Without a terminal the shell runs lines in one session and ends at the first that fails."""
    script = "create /s a\n# a comment\nset /s 'b c'\nget /s\ncreate -e /s/e x\nephemerals\n"
    assert zk(node, "shell", text=script) == "/s\nb c\n/s/e\n/s/e\n"
    assert not witness.exists("/s/e"), "the session has ended"
    assert "line 2" in zk(node, "shell", text="ls /s\nget /absent\ndelete /s\n", code=1)
    assert witness.exists("/s")
    zk(node, "delete", "/s")
    assert "line 1" in zk(node, "shell", text="frobnicate\n", code=2)


def talk(command, steps, environment):
    """Types steps into a program at a terminal, each with what it must show before the next; all that it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, {**os.environ, **environment})
    shown = b""

    def listen(expected=None, seconds=60):
        """Until what is shown from now on matches, or the program has ended."""
        nonlocal shown
        start, deadline = len(shown), time.monotonic() + seconds
        while expected is None or not re.search(expected, shown[start:]):
            assert time.monotonic() < deadline, (expected, shown[start:], shown.decode(errors="replace"))
            if select.select([terminal], [], [], 0.05)[0]:
                try:
                    shown += os.read(terminal, 65536)
                except OSError:
                    return

    try:
        listen(PROMPT)
        for step, expected in steps:
            os.write(terminal, step)
            listen(expected)
        assert eventually(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid), shown.decode(errors="replace")
    finally:
        os.close(terminal)
    return shown.decode(errors="replace")


def test_shell_at_a_terminal(node, witness, tmp_path):
    """Completion of commands and paths, history over two sessions, a watch that speaks up, Ctrl-C, Ctrl-D."""
    steps = [(b"cre\t/typ", rb"> create /typ\x1b\[K")]
    steps += [(keys, PROMPT) for keys in (b"ed one\r", b"get -w /ty\t\r", b"forget this\x03", b"ls /broke\t\t\r")]
    steps += [(b"set /typed two\r", rb"(?s)watch: changed /typed.*" + PROMPT), (b"\x04", None)]
    state = {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm"}
    command = [os.path.abspath(BINARY), "zk", "shell", "--server", server(node)]
    shown = talk(command, steps, state)
    assert "create /typed one" in shown and witness.get("/typed")[0] == b"two"
    assert "watch: changed /typed" in shown
    assert "/brokers/ids  /brokers/seqid  /brokers/topics" in shown
    shown = talk(command, [(b"\x1b[A\x1b[A\x1b[B\r", PROMPT), (b"quit\r", None)], state)
    assert "set /typed two" in shown and witness.get("/typed")[1].version == 2
    history = tmp_path / "tern" / "zk-history"
    assert "set /typed two" in history.read_text() and history.stat().st_mode & 0o77 == 0
    zk(node, "delete", "/typed")


def bash_completes(line):
    """What bash would offer for a line."""
    script = 'source <("$1" completions bash); COMP_LINE=$2; COMP_POINT=${#2}; _tern "$1" 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
    ran = subprocess.run(["bash", "-c", script, "bash", os.path.abspath(BINARY), line], capture_output=True, text=True, timeout=120)
    return ran.stdout.split()


def test_completion(node):
    """Commands, options, values, and the names of topics, groups and znodes of the node that the line names."""
    assert bash_completes("tern chec") == ["check-config"]
    assert bash_completes("tern topic alter t --del") == ["--delete-config"]
    assert bash_completes("tern produce t --compression=l") == ["lz4"]
    assert "dataDir=" in bash_completes("tern serve --set dataD")
    subprocess.run([BINARY, "topic", "create", "seen-at-tab", "-b", node.kafka], check=True, timeout=120)
    # Who presses Tab is kept waiting for half a second at most, and then offered nothing.
    assert eventually(lambda: bash_completes(f"tern consume -b {node.kafka} seen-") == ["seen-at-tab"])
    assert eventually(lambda: bash_completes(f"tern zk --server {server(node)} get /brokers/top") == ["/brokers/topics/"])
    assert bash_completes("tern consume -b 127.0.0.1:1 seen-") == []
    for shell in ("zsh", "fish"):
        script = subprocess.run([BINARY, "completions", shell], capture_output=True, text=True, timeout=120)
        assert script.returncode == 0 and "tern" in script.stdout
        if shutil.which(shell):
            assert subprocess.run([shell, "-n"], input=script.stdout, text=True, timeout=120).returncode == 0
