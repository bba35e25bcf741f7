"""The whole path: MQTT in by one stock client, Kafka out by another."""

import subprocess

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from node import eventually


def run(*command, text=None, seconds=90):
    done = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", timeout=seconds)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def publish(node, topic, message, *options):
    host, port = node.mqtt
    run("mosquitto_pub", "-h", host, "-p", str(port), "-t", topic, "-m", message, *options)


def kcat(node, topic, *options):
    return run("kcat", "-C", "-b", node.kafka, "-t", topic, "-e", "-q", "-m", "60", "-o", "beginning", *options)


@pytest.mark.parametrize("qos", ["0", "1", "2"])
@pytest.mark.parametrize("version", ["mqttv311", "mqttv5"])
def test_mosquitto_pub_to_kcat(node, qos, version):
    """What mosquitto_pub sends at each QoS and version, kcat reads with key and headers."""
    topic = f"house/{version}/{qos}"
    publish(node, topic, "21.5", "-q", qos, "-V", version)
    pattern = "%k|%s|%h\n"

    def found():
        # What was sent at QoS 0 may be on its way still, and be the first that makes the topic.
        words = ["kcat", "-C", "-b", node.kafka, "-t", "mqtt", "-e", "-q", "-m", "60", "-o", "beginning", "-f", pattern]
        said = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=90).stdout
        return [line for line in said.splitlines() if line.startswith(topic)]

    lines = eventually(found)
    assert len(lines) == 1
    key, value, headers = lines[0].split("|", 2)
    assert (key, value) == (topic, "21.5")
    assert f"mqtt.topic={topic}" in headers and f"mqtt.qos={qos}" in headers


def test_user_properties_become_headers(node):
    """MQTT 5 user properties, content type, response topic and correlation data travel as headers."""
    host, port = node.mqtt
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "prop-sensor", protocol=paho.MQTTv5)
    client.connect(host, port)
    client.loop_start()
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("site", "roof"), ("unit", "C")]
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answers/1"
    properties.CorrelationData = b"c-77"
    client.publish("props/1", b"\x00\xffbytes", qos=1, properties=properties).wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    headers = [line for line in kcat(node, "mqtt", "-f", "%k|%h\n").splitlines() if line.startswith("props/1")][0]
    for expected in ("site=roof", "unit=C", "text/plain", "answers/1", "c-77", "prop-sensor"):
        assert expected in headers, headers


def test_subscriber_sees_live_messages(node):
    """A subscriber gets what is published by MQTT and what a Kafka producer writes, once it is durable."""
    host, port = node.mqtt
    command = ["mosquitto_sub", "-h", host, "-p", str(port), "-t", "live/#", "-t", "from-kafka", "-q", "1", "-C", "3", "-W", "90", "-v"]

    def subscriptions():
        count = ["-t", "$SYS/broker/subscriptions/count", "-C", "1", "-W", "60"]
        return int(run("mosquitto_sub", "-h", host, "-p", str(port), *count))

    before = subscriptions()
    subscriber = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert eventually(lambda: subscriptions() >= before + 2)
    publish(node, "live/a", "one", "-q", "1")
    publish(node, "live/b", "two", "-q", "0")
    run("kcat", "-P", "-b", node.kafka, "-t", "from-kafka", text="three\n")
    out, _ = subscriber.communicate(timeout=100)
    assert sorted(out.splitlines()) == ["from-kafka three", "live/a one", "live/b two"]


def test_acknowledged_survives_a_kill(own_node):
    """A message that mosquitto_pub -q 1 was told is delivered is there after kill -9."""
    publish(own_node, "kill/1", "kept", "-q", "1")
    own_node.kill()
    own_node.start()
    assert "kept" in kcat(own_node, "mqtt")


def test_takeover(node):
    """A second connection with the same client id ends the first."""
    host, port = node.mqtt
    ended = []
    first = paho.Client(paho.CallbackAPIVersion.VERSION2, "twin", protocol=paho.MQTTv5)
    first.on_disconnect = lambda client, data, flags, reason, properties: ended.append(reason)
    first.connect(host, port)
    first.loop_start()
    assert eventually(first.is_connected)
    second = paho.Client(paho.CallbackAPIVersion.VERSION2, "twin", protocol=paho.MQTTv5)
    second.connect(host, port)
    second.loop_start()
    assert eventually(lambda: ended)
    assert ended[0].value == 0x8E
    first.loop_stop()
    second.disconnect()
    second.loop_stop()


def test_order_of_one_publisher(node):
    """A publisher with twenty messages in flight finds them in the log in its order."""
    host, port = node.mqtt
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "order")
    client.connect(host, port)
    client.loop_start()
    sent = [client.publish("order/1", f"{number:05}", qos=1) for number in range(2000)]
    for message in sent:
        message.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()
    values = [line.split("|")[1] for line in kcat(node, "mqtt", "-f", "%k|%s\n").splitlines() if line.startswith("order/1|")]
    assert values == [f"{number:05}" for number in range(2000)]
