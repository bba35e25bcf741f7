"""Three nodes of Apache Kafka 4 as one KRaft cluster, each broker and controller, for the benchmark of ensembles."""

import subprocess
import sys
import time

from confluent_kafka.admin import AdminClient
from ensemble import free_ports
from java_tools import classpath

CLUSTER = "4L6g3nShT-eMCtK--X86sw"

# What Kafka's own start script gives the JVM, beside the heap.
JVM = "-Xmx512m -Xms512m -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"
JVM = [*JVM.split(), "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dlog4j2.level=WARN"]


class KafkaThree:
    """All of them; Kafka never syncs unless it is told to."""

    name = "Kafka"

    def __init__(self, directory):
        brokers, controllers = free_ports(3), free_ports(3)
        self.addresses = {number: f"127.0.0.1:{port}" for number, port in enumerate(brokers, 1)}
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        self.processes, self.log = {}, None
        for number, controller in enumerate(controllers, 1):
            self.processes[number] = self.start(number, directory / f"kafka{number}", controller, voters)
        deadline = time.monotonic() + 120
        while not self.answers():
            if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes.values()):
                self.stop()
                sys.exit(f"Kafka does not start; see {self.log}")

    def start(self, number, directory, controller, voters):
        directory.mkdir(parents=True)
        settings = {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{self.addresses[number]},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": directory / "data",
            "offsets.topic.replication.factor": 3,
            "min.insync.replicas": 2,
        }
        properties, self.log = directory / "server.properties", directory / "server.log"
        properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        jars, log = classpath("4"), open(self.log, "w")
        format_storage = ["java", "-cp", jars, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", properties]
        subprocess.run(format_storage, check=True, stdout=log, stderr=log)
        return subprocess.Popen(["java", *JVM, "-cp", jars, "kafka.Kafka", properties], stdout=log, stderr=log)

    def answers(self):
        try:
            client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            return len(client.list_topics(timeout=2).brokers) == 3
        except Exception:  # noqa: BLE001: it does not, yet
            return False

    @property
    def bootstrap(self):
        return ",".join(self.addresses.values())

    @property
    def pids(self):
        return [process.pid for process in self.processes.values()]

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
