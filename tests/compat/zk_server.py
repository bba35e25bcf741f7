"""Whom the ZooKeeper tests talk to: a node of ours, or Debian's ZooKeeper when the tests themselves are judged.

`TERN_ZOOKEEPER_JUDGE=debian` runs every test of ZooKeeper's protocol against Debian's package instead of a node: what
fails there is a wrong test.
"""

import glob
import os
import signal
import socket
import subprocess
import time

from node import Node, free_ports

IS_REFERENCE = os.environ.get("TERN_ZOOKEEPER_JUDGE") == "debian"
JARS = (
    "zookeeper zookeeper-jute slf4j-api slf4j-nop commons-cli commons-io jackson-annotations jackson-core "
    "jackson-databind jetty9-http jetty9-io jetty9-security jetty9-server jetty9-servlet jetty9-util jetty9-util-ajax "
    "metrics-core netty-all netty-handler servlet-api snappy-java"
).split()


def is_installed():
    return os.path.exists("/usr/share/java/zookeeper.jar")


def word(address, command, seconds=60):
    """The answer to a four-letter word."""
    host, port = address.rsplit(":", 1)
    answer = b""
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        connection.sendall(command.encode())
        while True:
            part = connection.recv(65536)
            if not part:
                return answer.decode()
            answer += part


class Reference:
    """Debian's ZooKeeper, standalone, in a directory of its own."""

    def __init__(self, directory, *settings):
        self.directory, self.settings = str(directory), settings
        self.port, self.admin = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.http = f"127.0.0.1:{self.admin}"
        keys = {
            "tickTime": "2000",
            "dataDir": f"{directory}/data",
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "admin.serverPort": self.admin,
            "admin.serverAddress": "127.0.0.1",
            "4lw.commands.whitelist": "*",
            "extendedTypesEnabled": "true",
            "enforceQuota": "true",
            "maxClientCnxns": "0",
        }
        keys.update(setting.split("=", 1) for setting in settings)
        with open(f"{directory}/zoo.cfg", "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in keys.items())
        self.start()

    def start(self):
        jars = [path for name in JARS for path in glob.glob(f"/usr/share/java/{name}.jar")]
        # ZooKeeper takes these from the command line only.
        flags = [f"-D{setting}" for setting in self.settings if setting.startswith("znode.")]
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with open(f"{self.directory}/stderr.log", "ab") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx512m", *flags, "-cp", ":".join(jars), main, f"{self.directory}/zoo.cfg"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while True:
            try:
                if "Mode:" in word(self.address, "srvr"):
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline and self.process.poll() is None, "Debian's ZooKeeper does not start"
            time.sleep(0.1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        return 0


class Ours(Node):
    """A node, by the names that `Reference` has."""

    def __init__(self, directory, *settings):
        super().__init__(directory, "4lw.commands.whitelist=*", *settings)

    @property
    def address(self):
        return self.ports["zookeeper"]


def start(directory, *settings):
    """A server for a test; keys are those of zoo.cfg."""
    return Reference(directory, *settings) if IS_REFERENCE else Ours(directory, *settings)
