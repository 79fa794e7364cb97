"""The compose files run our services without privileges, publish to loopback only, and leave no stage out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.bootstrap import STAGES

DEPLOY = Path(__file__).parents[2] / "deploy"


def ours(file: str) -> dict[str, Any]:
    """The services of a compose file that run our image."""
    services: dict[str, Any] = yaml.safe_load((DEPLOY / file).read_text(encoding="utf-8"))["services"]
    return {name: one for name, one in services.items() if "build" in one}


@pytest.mark.parametrize("file", ["compose.yaml", "compose.kafka.yaml"])
def test_our_services_run_without_privileges(file: str) -> None:
    """Read-only root, no capabilities, ports on loopback."""
    assert ours(file)
    for name, one in ours(file).items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ())), name


@pytest.mark.parametrize("file", ["compose.yaml", "compose.kafka.yaml"])
def test_what_listens_beyond_loopback_asks_for_tokens(file: str) -> None:
    """Inside a container we listen on every address, so each of our services is given a file of tokens."""
    for name, one in ours(file).items():
        assert one["environment"]["COURSELINE_HTTP__TOKENS_FILE"] == "secrets/tokens", name


def test_every_stage_runs_somewhere() -> None:
    """The Kafka set-up leaves no stage out, and runs none twice."""
    commands = [one.get("command") or [] for one in ours("compose.kafka.yaml").values()]
    stages = [word for command in commands if command[:1] == ["run"] for word in command if word in STAGES]
    assert sorted(stages) == sorted(STAGES)


def test_the_image_runs_as_nobody() -> None:
    """A numeric user, so that an orchestrator can tell that it is not root."""
    assert "USER 65532:65532" in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_compose_runs_the_broker_that_the_tests_run() -> None:
    """What is deployed is what was tried."""
    services = yaml.safe_load((DEPLOY / "compose.kafka.yaml").read_text(encoding="utf-8"))["services"]
    pom = (DEPLOY.parent / "tests" / "kafka-broker" / "pom.xml").read_text(encoding="utf-8")
    assert f"<version>{services['kafka']['image'].partition(':')[2]}</version>" in pom


@pytest.mark.parametrize("file", ["compose.yaml", "compose.kafka.yaml"])
def test_our_services_are_given_time_to_finish_a_batch(file: str) -> None:
    """Compose kills after ten seconds unless told otherwise."""
    assert all(one["stop_grace_period"] == "30s" for one in ours(file).values())
