"""``courseline hooks``: registered with both trackers, verified, mended, and refused with what is missing."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.base import Check
from services.bootstrap import App, open_app
from services.settings import load_settings
from services.simulator.acme import acme
from services.simulator.acme_files import GITHUB, JIRA
from services.simulator.faults import Faults
from services.simulator.github_host import GithubHost
from services.simulator.jira_site import JiraSite
from services.simulator.serve import serve_in_thread
from tests.spine.conftest import Organisation

SECRET = "correct-horse"
PUBLIC = "https://courseline.acme.example"


@dataclass
class Trackers:
    """Both trackers with their lists of hooks, and a configuration that reads them."""

    jira: JiraSite
    github: GithubHost
    organisation: Organisation

    @asynccontextmanager
    async def app(self, **environment: str) -> AsyncIterator[App]:
        given = {f"COURSELINE_SOURCES__{n}__WEBHOOK_SECRET": SECRET for n in (0, 1)}
        given |= {"COURSELINE_HTTP__PUBLIC_URL": PUBLIC} | environment
        wanted = {name: value for name, value in given.items() if value}
        async with open_app(load_settings(self.organisation.configured(), wanted)[0]) as running:
            yield running

    def hooks(self) -> list[tuple[str, int]]:
        """The addresses of all hooks, with how many there are of each."""
        jira = [hook["url"] for hook in self.jira.registrations.of(0)]
        github = [one["config"]["url"] for where in self.github.registrations.hooks.values() for one in where.values()]
        return [(url, [*jira, *github].count(url)) for url in sorted({*jira, *github})]


@pytest.fixture
def trackers(tmp_path: Path) -> Iterator[Trackers]:
    world = acme(now=datetime(2026, 11, 23, 10, tzinfo=UTC), days=60)
    jira, github = JiraSite(world), GithubHost(world)
    with serve_in_thread(jira.app(), github.app()) as urls:
        yield Trackers(jira, github, Organisation(world, urls[0], urls[1], Faults(), tmp_path))


def said(checks: list[Check]) -> dict[str, str]:
    return {one.name: "ok" if one.ok else f"{one.detail} ({one.exit_code}): {one.fix}" for one in checks}


async def test_hooks_are_registered_once_however_often(trackers: Trackers) -> None:
    """Checked before (missing), installed twice, checked after: one a site and one a repository, with the secret."""
    async with trackers.app() as running:
        before = await running.hooks(install=False)
        assert [one.ok for one in before] == [False, False, False]
        assert {one.detail for one in before} == {"there is none for this service"}
        for _ in range(2):
            assert all(one.ok for one in await running.hooks(install=True))
        assert all(one.ok for one in await running.hooks(install=False))
    assert trackers.hooks() == [(f"{PUBLIC}/hooks/{GITHUB}", 2), (f"{PUBLIC}/hooks/{JIRA}", 1)]
    for registered in (trackers.jira.registrations, trackers.github.registrations):
        assert set(registered.secrets.values()) == {SECRET}


async def test_only_our_own_hooks_are_touched(trackers: Trackers) -> None:
    """A hook of somebody else stays as it is."""
    repository = trackers.organisation.world.container("acme/web")
    theirs = {"active": False, "events": ["push"], "config": {"url": "https://elsewhere.example"}}
    trackers.github.registrations.add(repository.id, dict(theirs), None)
    async with trackers.app() as running:
        assert all(one.ok for one in await running.hooks(GITHUB, install=True))
    first, *_ = trackers.github.registrations.of(repository.id)
    assert {key: first[key] for key in theirs} == theirs
    assert trackers.jira.registrations.of(0) == []


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"active": False}, "it is switched off"),
        (
            {"events": ["push", "issues"]},
            "it does not send issue_dependencies, label, milestone, pull_request, repository, sub_issues",
        ),
        ({"last_response": {"code": 401}}, "its last delivery was refused (401): its secret is not the configured one"),
        ({"last_response": {"code": 502}}, "its last delivery was answered 502"),
    ],
)
async def test_a_github_hook_that_is_wrong_is_named_and_mended(
    trackers: Trackers, change: dict[str, object], detail: str
) -> None:
    async with trackers.app() as running:
        await running.hooks(GITHUB, install=True)
        repository = trackers.organisation.world.container("acme/pay")
        (hook,) = trackers.github.registrations.of(repository.id)
        hook |= change
        found = said(await running.hooks(GITHUB, install=False))
        assert found[f"{GITHUB}: hook of acme/web"] == "ok"
        fix = f"run `courseline hooks install --source {GITHUB}`"
        assert found[f"{GITHUB}: hook of acme/pay"] == f"{detail} (1): {fix}"
        assert all(one.ok for one in await running.hooks(GITHUB, install=True))


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"enabled": False}, "it is switched off"),
        ({"events": []}, "it does not send issuelink_created"),
        ({"filters": {"issue-related-events-section": "project in (OPS)"}}, "it sends other projects than are read"),
        ({"excludeBody": True}, "it sends no body, so nothing tells which issue changed"),
    ],
)
async def test_a_jira_hook_that_is_wrong_is_named_and_mended(
    trackers: Trackers, change: dict[str, object], detail: str
) -> None:
    async with trackers.app() as running:
        await running.hooks(JIRA, install=True)
        trackers.jira.registrations.of(0)[0].update(change)
        (found,) = await running.hooks(JIRA, install=False)
        assert (found.ok, found.detail.startswith(detail)) == (False, True)
        assert all(one.ok for one in await running.hooks(JIRA, install=True))


async def test_what_is_missing_is_said(trackers: Trackers) -> None:
    """No right to hooks, no public address, no secret, a refused token: each with its fix and code; nothing leaks."""
    trackers.jira.registrations.allowed = trackers.github.registrations.allowed = False
    async with trackers.app() as running:
        checks = await running.hooks(install=True)
        assert [(one.ok, one.exit_code) for one in checks] == [(False, 1)] * 3
        assert all("hook" in one.fix.lower() for one in checks)
        assert SECRET not in str(checks)
    async with trackers.app(COURSELINE_HTTP__PUBLIC_URL="") as running:
        assert {one.detail for one in await running.hooks(install=True)} == {"http.public_url is not set"}
    async with trackers.app(COURSELINE_SOURCES__0__WEBHOOK_SECRET="") as running:
        (found,) = await running.hooks(JIRA, install=True)
        assert found.detail == f"webhook_secret_file of {JIRA} is not set"
    trackers.github.token = "another"
    async with trackers.app() as running:
        (found,) = await running.hooks(GITHUB, install=False)
        assert (found.ok, found.exit_code) == (False, 4)


async def test_boards_are_told_of_by_their_organization(trackers: Trackers) -> None:
    """A hook of the organization, once, which hears of nothing but entries of boards."""
    boards = {"COURSELINE_SOURCES__1__PROJECT_BOARDS": '["acme/7"]'}
    async with trackers.app(**boards) as running:
        assert [one.ok for one in await running.hooks(GITHUB, install=False)] == [False] * 3
        for _ in range(2):
            checks = await running.hooks(GITHUB, install=True)
            assert all(one.ok for one in checks)
        assert f"{GITHUB}: hook of acme's boards" in {one.name for one in checks}
    (hook,) = trackers.github.registrations.of(0)
    assert (hook["events"], hook["config"]["url"]) == (["projects_v2_item"], f"{PUBLIC}/hooks/{GITHUB}")


async def test_boards_of_a_user_have_no_hook(trackers: Trackers) -> None:
    """That is said, with what it means; the hooks of the repositories are well."""
    boards = {"COURSELINE_SOURCES__1__PROJECT_BOARDS": '["ada/1"]'}
    async with trackers.app(**boards) as running:
        *others, line = await running.hooks(GITHUB, install=True)
    assert all(one.ok for one in others)
    assert not line.ok
    assert "boards are read with each poll" in line.fix
