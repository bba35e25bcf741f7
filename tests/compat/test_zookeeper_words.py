"""Four-letter words, the admin commands over HTTP, and ZooKeeper's C client."""

import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
import zk_server
from kazoo.client import KazooClient
from node import eventually
from zk_server import word

C_CLIENT = "/usr/lib/zookeeper/bin/cli_mt"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    shared = zk_server.start(tmp_path_factory.mktemp("zookeeper"))
    yield shared
    assert shared.stop() == 0


@pytest.fixture(scope="module")
def client(server):
    """A session with an ephemeral and two watches."""
    client = KazooClient(server.address, timeout=30)
    client.start(60)
    client.create("/words", b"x", ephemeral=True)
    client.exists("/words", watch=lambda event: None)
    client.get_children("/zookeeper", watch=lambda event: None)
    yield client
    client.stop()
    client.close()


def session(client):
    return f"0x{client.client_id[0]:x}"


def test_default_whitelist(tmp_path):
    """Unless the configuration says more, srvr alone is answered."""
    server = zk_server.start(tmp_path, "4lw.commands.whitelist=srvr")
    assert "Mode: standalone" in word(server.address, "srvr")
    assert word(server.address, "mntr").strip() == "mntr is not executed because it is not in the whitelist."
    server.stop()


def test_simple_words(server, client):
    """Answers that have one form."""
    assert word(server.address, "ruok") == "imok"
    assert word(server.address, "isro") == "rw"
    assert re.fullmatch(r"datadir_size: \d+\nlogdir_size: \d+\n", word(server.address, "dirs"))
    assert word(server.address, "gtmk") == "306"
    assert word(server.address, "stmk\0\0\0\0\0\0\0\x02") == "2"
    assert word(server.address, "gtmk") == "2"
    assert word(server.address, "stmk\0\0\0\0\0\0\x01\x32") == "306"
    assert word(server.address, "srst") == "Server stats reset.\n"
    assert word(server.address, "crst") == "Connection stats reset.\n"


def test_srvr_and_stat(server, client):
    """The lines that every monitor parses."""
    pattern = (
        r"Zookeeper version: \S+.*, built on .*\nLatency min/avg/max: \d+/\d+\.\d+/\d+\nReceived: \d+\nSent: \d+\n"
        r"Connections: \d+\nOutstanding: \d+\nZxid: 0x[0-9a-f]+\nMode: standalone\nNode count: \d+\n"
    )
    assert re.fullmatch(pattern, word(server.address, "srvr")), word(server.address, "srvr")
    stat = word(server.address, "stat")
    assert re.match(r"Zookeeper version: .*\nClients:\n( /[\d.]+:\d+\[\d\]\(queued=\d+,recved=\d+,sent=\d+\)\n)+\nLatency", stat)
    count = int(re.search(r"Node count: (\d+)", stat)[1])
    client.create("/counted")
    assert f"Node count: {count + 1}\n" in word(server.address, "srvr")
    client.delete("/counted")


# What Telegraf, Datadog, the Prometheus exporters, Solr and Zabbix templates read.
KEYS = """zk_version zk_server_state zk_avg_latency zk_max_latency zk_min_latency zk_packets_received zk_packets_sent
zk_num_alive_connections zk_outstanding_requests zk_znode_count zk_watch_count zk_ephemerals_count
zk_approximate_data_size zk_open_file_descriptor_count zk_max_file_descriptor_count zk_uptime zk_global_sessions
zk_connection_rejected zk_snap_count zk_bytes_received_count zk_commit_count zk_stale_sessions_expired""".split()


def test_mntr(server, client):
    """One key and value a line, the keys that exporters read, and numbers that are true."""
    lines = [line.split("\t") for line in word(server.address, "mntr").splitlines()]
    assert all(len(line) == 2 for line in lines)
    values = dict(lines)
    assert len(values) == len(lines) and set(KEYS) <= set(values), set(KEYS) - set(values)
    assert values["zk_version"].startswith("3.8") and values["zk_server_state"] == "standalone"
    assert all(float(values[key]) >= 0 for key in KEYS[2:])
    assert int(values["zk_num_alive_connections"]) >= 1
    assert int(values["zk_ephemerals_count"]) >= 1 and int(values["zk_watch_count"]) == 2
    assert int(values["zk_open_file_descriptor_count"]) <= int(values["zk_max_file_descriptor_count"])
    before = int(values["zk_packets_received"])
    for _ in range(10):
        client.exists("/")
    values = dict(line.split("\t") for line in word(server.address, "mntr").splitlines())
    assert int(values["zk_packets_received"]) >= before + 10


def test_conf_and_envi(server, client):
    """Effective settings, and the version where kazoo looks for it."""
    conf = dict(line.split("=", 1) for line in word(server.address, "conf").splitlines() if "=" in line)
    for key in ("clientPort", "dataDir", "dataLogDir", "tickTime", "maxClientCnxns", "minSessionTimeout",
                "maxSessionTimeout", "serverId"):
        assert key in conf, (key, conf)
    assert conf["clientPort"] == server.address.rsplit(":", 1)[1] and conf["tickTime"] == "2000"
    assert (conf["minSessionTimeout"], conf["maxSessionTimeout"]) == ("4000", "40000")
    envi = word(server.address, "envi").splitlines()
    assert envi[0] == "Environment:" and envi[1].startswith("zookeeper.version=3.8")
    assert any(line.startswith("host.name=") for line in envi)


def test_cons(server, client):
    """A line for each connection, with its session's numbers."""
    pattern = (
        r" /127\.0\.0\.1:\d+\[\d+\]\(queued=\d+,recved=\d+,sent=\d+,sid=" + session(client) + r",lop=\w+,est=\d+,to=\d+,"
        r"lcxid=0x[0-9a-f]+,lzxid=0x[0-9a-f]+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)"
    )
    client.exists("/words")
    assert re.search(pattern, word(server.address, "cons")), word(server.address, "cons")


def test_watch_words_and_dump(server, client):
    """Who watches what, and whose ephemerals are there."""
    # Data watches alone are counted here, as in ZooKeeper.
    assert word(server.address, "wchs") == "1 connections watching 1 paths\nTotal watches:1\n"
    assert word(server.address, "wchc").rstrip("\n") == f"{session(client)}\n\t/words"
    assert word(server.address, "wchp").rstrip("\n") == f"/words\n\t{session(client)}"
    dump = word(server.address, "dump")
    assert dump.startswith("SessionTracker dump:\n") and session(client) in dump
    assert f"{session(client)}:\n\t/words\n" in dump and "ephemeral nodes dump:" in dump


def test_words_want_no_newline_and_no_silence(server):
    """What follows a word is ignored, and an unknown word is a broken frame."""
    assert word(server.address, "ruok\n") == "imok"
    assert word(server.address, "ruok and more") == "imok"
    try:
        assert word(server.address, "what") == ""
    except ConnectionError:
        pass
    assert word(server.address, "ruok") == "imok"


def command(server, name):
    try:
        with urllib.request.urlopen(f"http://{server.http}/commands{name}", timeout=60) as reply:
            return reply.headers["Content-Type"], reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.headers["Content-Type"], error.read().decode()


def test_admin_commands(server, client):
    """The admin server's pages: a list of links, and an object of JSON for each command and each of its short names."""
    kind, page = command(server, "")
    assert kind is None or kind.startswith("text/html")
    names = re.findall(r'<a href="/commands/(\w+)">', page)
    wanted = {"configuration", "connections", "connection_stat_reset", "dirs", "dump", "environment", "get_trace_mask",
              "hash", "initial_configuration", "is_read_only", "last_snapshot", "leader", "monitor", "observers", "ruok",
              "server_stats", "set_trace_mask", "stat_reset", "stats", "system_properties", "voting_view",
              "watch_summary", "watches", "watches_by_path", "zabstate"}
    assert wanted <= set(names), wanted - set(names)
    for name in names:
        if name == "shed_connections":
            continue
        kind, page = command(server, f"/{name}")
        assert kind.startswith("application/json"), name
        parsed = json.loads(page)
        assert parsed["command"] == name and "error" in parsed, parsed

    def ask(name):
        return json.loads(command(server, f"/{name}")[1])

    assert ask("ruok") == {"command": "ruok", "error": None}
    assert ask("monitor")["server_state"] == "standalone" and ask("mntr")["znode_count"] >= 5
    assert ask("stat")["server_stats"]["server_state"] == "standalone"
    assert ask("conf")["client_port"] == int(server.address.rsplit(":", 1)[1])
    assert ask("dump")["session_id_to_ephemeral_paths"][str(client.client_id[0])] == ["/words"]
    assert ask("watch_summary") == {
        "num_connections": 1, "num_paths": 1, "num_total_watches": 1, "command": "watch_summary", "error": None}
    assert ask("wchp")["path_to_session_ids"] == {"/words": [client.client_id[0]]}
    sessions = [connection.get("session_id") for connection in ask("connections")["connections"]]
    assert client.client_id[0] in sessions
    assert ask("nothing")["error"] == "Unknown command: nothing"


@pytest.mark.skipif(not os.path.exists(C_CLIENT), reason="zookeeper-bin is not installed")
def test_c_client(server):
    """The C client's shell: create, set, a watch that fires, sequence, ACL, deletion."""
    shell = subprocess.Popen(
        [C_CLIENT, "-h", server.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    commands = ["create /cc", "set /cc hello", "wget /cc", "set /cc again", "create +e /cc-e", "create2 +s /cc/s",
                "ls2 /cc", "getacl /cc", "sync /cc", "config", "delete /cc", "delete /cc/s0000000000", "delete /cc"]
    lines = []

    def listen():
        for line in shell.stdout:
            lines.append(line)

    reader = threading.Thread(target=listen, daemon=True)
    reader.start()

    def answered():
        said = "".join(lines)
        return {
            "a session": "Watcher SESSION_EVENT state = CONNECTED_STATE" in said,
            "a version": re.search(r"version=1\taversion=0", said) is not None,
            "a sequence": "name = /cc/s0000000000" in said,
            "a watch": re.search(r"Watcher CHILD_EVENT state = CONNECTED_STATE for path /cc", said) is not None,
            "a refusal": "/cc: rc = -111" in said,
            "the configuration": "/zookeeper/config: rc = 0" in said,
            "the rest": said.count("/cc: rc = 0") >= 4,
        }

    eventually(lambda: answered()["a session"], 30)
    for line in commands:
        shell.stdin.write(line + "\n")
        shell.stdin.flush()
        time.sleep(0.1)
    # Who quits does not wait for answers that are still on their way.
    eventually(lambda: all(answered().values()), 30)
    shell.stdin.write("quit\n")
    shell.stdin.close()
    shell.wait(60)
    reader.join(60)
    assert all(answered().values()), (answered(), "".join(lines))

    def is_gone():
        probe = KazooClient(server.address)
        probe.start(60)
        gone = probe.exists("/cc-e") is None and probe.exists("/cc") is None
        probe.stop()
        probe.close()
        return gone

    assert eventually(is_gone)
