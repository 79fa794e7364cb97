"""Acme's own files: a strategy that fits the world, and a configuration that finds the trackers."""

from pathlib import Path

import pytest
import yaml

from schemas.strategy import parse_strategy
from services.settings import load_settings
from services.simulator.acme import acme
from services.simulator.acme_files import config_text, strategy_text, write_files
from services.simulator.bulk import bulk
from tests.simulator.conftest import NOW

CHANNELS = ("shop-log", "payments-log", "platform-log")


@pytest.mark.parametrize("days", [7, 30, 90, 365, 700])
def test_the_strategy_is_valid_however_long_the_history_is(days: int) -> None:
    """Every id, channel and date in it is sound; initiatives last a year at most and are not all over."""
    world = acme(now=NOW, days=days)
    strategy = parse_strategy(strategy_text(world, days=days), file="strategy.yaml", channels=CHANNELS)
    assert len(strategy.objectives) == 4 and len(strategy.initiatives) == 6
    assert strategy.run.match is not None and strategy.reserves and strategy.pins
    for one in strategy.initiatives:
        assert one.start is not None and one.due is not None
        assert one.start < NOW.date() < one.due and (one.due - one.start).days <= 366


def test_what_the_strategy_names_exists() -> None:
    """Epics, milestones, components and labels of the rules are in the trackers."""
    world = acme(now=NOW)
    strategy = parse_strategy(strategy_text(world), file="strategy.yaml")
    matches = [one for ini in strategy.initiatives if ini.match for one in (ini.match.any_ or (ini.match,))]
    keys = {world.key(item): item for item in world.items.values()}
    titles = {one.title for one in world.milestones.values()}
    components = {name for one in world.containers.values() for name in one.components}
    labels = {label for item in world.items.values() for label in item.labels}
    assert all(keys[key].type == "Epic" for match in matches for key in match.ancestor or ())
    assert {title for match in matches for title in match.milestone or ()} <= titles
    assert {name for match in matches for name in match.component or ()} <= components
    assert {label for match in matches for label in match.label or ()} <= labels
    assert strategy.pins[0].item.removeprefix("acme-jira:") in keys


def test_a_world_of_any_size_has_a_strategy_too() -> None:
    """Benchmarks use the same rules."""
    text = strategy_text(bulk(items=300, now=NOW))
    assert parse_strategy(text, file="strategy.yaml", channels=CHANNELS).objectives


def test_the_files_are_written_with_the_tokens_apart(tmp_path: Path) -> None:
    """No token stands in the configuration, and nobody else may read one."""
    config = config_text("http://127.0.0.1:1", "http://127.0.0.1:2", poll_every="2s")
    path = write_files(tmp_path / "demo", strategy_text(acme(now=NOW)), config)
    settings, warnings = load_settings(path, {})
    assert [one.name for one in settings.sources] == ["acme-jira", "acme-github"] and not warnings
    written = yaml.safe_load(path.read_text())
    assert [one["url"] for one in written["sources"]] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    for source in written["sources"]:
        token = path.parent / source["token_file"]
        assert token.read_text().strip() and token.read_text().strip() not in path.read_text()
        assert token.stat().st_mode & 0o077 == 0
    assert (path.parent / written["strategy"]).exists()
