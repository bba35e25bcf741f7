"""kafkajs and franz-go, each over the whole surface that it has; their programs lie in js/ and go/."""

import os
import subprocess

import pytest
from java_tools import INSTALLED, missing

SETTINGS = ["group.initial.rebalance.delay.ms=100", "group.min.session.timeout.ms=1000"]
STEPS = {
    "js": ["codecs", "producers", "groups", "topics"],
    "go": ["codecs", "producers", "groups", "next-groups", "topics", "offsets", "cluster"],
}


def program(language):
    """The command of a language's program and the environment that it needs."""
    if language == "js":
        modules = INSTALLED / "js" / "node_modules"
        script = os.path.join(os.path.dirname(__file__), "js", "clients.js")
        return ["node", script], modules, {**os.environ, "NODE_PATH": str(modules)}
    return [str(INSTALLED / "go" / "clients")], INSTALLED / "go" / "clients", os.environ


@pytest.fixture(scope="module")
def running(node):
    """Every step of every program that is installed, all at once: they wait more than they work."""
    started = {}
    for language, steps in STEPS.items():
        command, needed, environment = program(language)
        for step in steps if needed.exists() else []:
            asked = [*command, node.kafka, step]
            started[language, step] = subprocess.Popen(asked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield started
    for process in started.values():
        process.kill()


@pytest.mark.parametrize("language, step", [(language, step) for language, steps in STEPS.items() for step in steps])
def test_step(running, language, step):
    """The program ends well: what it expects is written beside what it asks."""
    if (language, step) not in running:
        missing({"js": "kafkajs", "go": "franz-go"}[language])
    out, _ = running[language, step].communicate(timeout=240)
    assert running[language, step].returncode == 0, out
