"""A simulated organisation behind HTTP, and a folder whose configuration reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.bootstrap import Time
from services.settings import Settings, load_settings
from services.simulator.acme import acme
from services.simulator.acme_files import config_text, strategy_text, write_files
from services.simulator.faults import Faults
from services.simulator.github_host import github_host
from services.simulator.jira_site import jira_site
from services.simulator.serve import serve_in_thread
from services.simulator.world import World

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@dataclass
class Organisation:
    """A world, its trackers' addresses with the faults before them, and where to write configurations."""

    world: World
    jira: str
    github: str
    faults: Faults
    folder: Path

    def configured(self, name: str = "it", database: str = "sqlite:///courseline.db", **more: str) -> Path:
        """A folder with a configuration that reads both trackers; gives the configuration's path."""
        text = config_text(self.jira, self.github, database=database)
        for key, value in more.items():
            text += f"{key}: {value}\n"
        return write_files(self.folder / name, strategy_text(self.world, days=120), text)

    def settings(self, name: str = "it", **more: str) -> Settings:
        return load_settings(self.configured(name, **more), {})[0]

    @property
    def time(self) -> Time:
        return Time(lambda: self.world.now)


@pytest.fixture
def organisation(tmp_path: Path) -> Iterator[Organisation]:
    """Four months of Acme's work."""
    world, faults = acme(now=NOW, days=120), Faults([])
    with serve_in_thread(faults.around(jira_site(world)), faults.around(github_host(world))) as (jira, github):
        yield Organisation(world, jira, github, faults, tmp_path)
