"""Faults on order, over real connections: each looks to a client as it does in the wild."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from services.simulator.faults import Asked, Fault, Faults, by_lot
from services.simulator.github_host import github_host
from services.simulator.jira_site import jira_site
from services.simulator.serve import serve
from services.simulator.vendor_faults import (
    burst,
    empty_body,
    github_unauthorized,
    jira_anonymous,
    jira_unauthorized,
    limited,
    login_page,
    login_redirect,
    primary_limit,
    quota,
    secondary_limit,
    server_error,
    sso_required,
    suspended,
)
from services.simulator.world import World
from tests.simulator.conftest import NOW, Ask, all_issues, all_pages, client, github_headers, jira_headers

DATE = "Wed, 25 Nov 2026 07:28:00 GMT"
SEARCH = "/rest/api/3/search/jql"
QUESTION = {"jql": "project = PAY ORDER BY created ASC", "fields": ["summary"], "maxResults": 20}


@asynccontextmanager
async def jira(world: World, faults: Faults) -> AsyncIterator[Ask]:
    async with (
        serve(faults.around(jira_site(world))) as url,
        httpx2.AsyncClient(base_url=url, headers=jira_headers()) as ask,
    ):
        yield ask


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("reset", httpx2.ReadError),
        ("cut", httpx2.RemoteProtocolError),
        ("chunked_cut", httpx2.RemoteProtocolError),
        ("drip", httpx2.RemoteProtocolError),
    ],
)
async def test_a_connection_that_is_cut_is_an_error_and_the_next_request_is_well(
    world: World, kind: Any, error: type[Exception]
) -> None:
    """No client can take half an answer for a whole one."""
    faults = Faults([Fault(when=SEARCH, kind=kind, size=11)])
    async with jira(world, faults) as ask:
        with pytest.raises(error):
            await ask.post(SEARCH, json=QUESTION)
        assert (await ask.post(SEARCH, json=QUESTION)).status_code == 200
    assert [one.status for one in faults.asked] == [0 if kind == "reset" else 200, 200]


async def test_a_truncated_answer_has_the_right_length_and_half_the_json(world: World) -> None:
    """Only whoever reads the JSON notices."""
    async with jira(world, Faults([Fault(when=SEARCH, kind="truncated")])) as ask:
        answer = await ask.post(SEARCH, json=QUESTION)
    assert answer.status_code == 200 and int(answer.headers["content-length"]) == len(answer.content)
    assert answer.text.startswith('{"issues":[')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


async def test_a_short_page_loses_nothing(world: World) -> None:
    """Every third page is short; the chain still leads through everything, on both hosts."""
    faults = Faults([Fault(when=r"/search/jql|/issues\?", kind="short_page", size=3, skip=1, times=4)])
    async with client(faults.around(jira_site(world)), jira_headers()) as ask:
        issues = await all_issues(ask, "project = PAY ORDER BY created ASC", maxResults=50)
    async with client(faults.around(github_host(world)), github_headers()) as ask:
        rows = await all_pages(ask, "/repos/acme/web/issues?state=all&per_page=20")
    assert [int(one["id"]) for one in issues] == [item.id for item in world.container("PAY").items]
    assert len(rows) == len(world.container("acme/web").items)
    assert sum(1 for one in faults.asked if one.fault) == 4


async def test_a_stale_answer_is_the_first_one_again(world: World) -> None:
    """A replica that lags shows the past once, then the present."""
    faults = Faults([Fault(when=r"/issue/", kind="stale", skip=1)])
    item = world.container("PAY").items[0]
    async with client(faults.around(jira_site(world)), jira_headers()) as ask:
        titles = []
        for title in ("one", "two", "three"):
            world.edit(item, title=title)
            titles.append((await ask.get(f"/rest/api/3/issue/{item.id}")).json()["fields"]["summary"])
    assert titles == ["one", "one", "three"]


async def test_an_answer_may_be_rewritten(world: World) -> None:
    """Any field may be missing or odd, and any header, while the rest is the tracker's own."""
    odd = Fault(
        when=r"/issues\?",
        kind="rewrite",
        change=lambda rows: [{**row, "labels": None} for row in rows],
        headers={"link": "", "x-ratelimit-remaining": "1"},
    )
    async with client(Faults([odd]).around(github_host(world)), github_headers()) as ask:
        first, second = [await ask.get("/repos/acme/web/issues?state=all&per_page=5") for _ in range(2)]
    assert [row["labels"] for row in first.json()] == [None] * 5
    assert [row["id"] for row in first.json()] == [row["id"] for row in second.json()]
    assert "link" not in first.headers and "link" in second.headers
    assert first.headers["x-ratelimit-remaining"] == "1"


async def test_the_world_may_move_while_somebody_pages(world: World) -> None:
    """An act after each page makes the drift that a client has to survive."""
    items = world.container("PAY").items
    faults = Faults([Fault(when=SEARCH, kind="pass", times=3, act=lambda: world.touch(items[0]))])
    async with client(faults.around(jira_site(world)), jira_headers()) as ask:
        found = [int(one["id"]) for one in await all_issues(ask, "project = PAY ORDER BY updated ASC", maxResults=30)]
    assert {*found} == {item.id for item in items}
    assert len(found) > len(items)


async def test_a_held_limit_marks_whoever_comes_too_early() -> None:
    """During the wait every matching request is refused and noted; others pass, and afterwards all do."""
    clock = [100.0]
    faults = Faults([burst(SEARCH, retry_after=7)], monotonic=lambda: clock[0])
    async with client(faults.around(_well), {}) as ask:
        statuses = []
        for seconds, path in ((0, SEARCH), (3, SEARCH), (0, "/other"), (3.9, SEARCH), (0.1, SEARCH)):
            clock[0] += seconds
            statuses.append((await ask.get(path)).status_code)
    assert statuses == [429, 429, 200, 429, 200]
    assert [one.at for one in faults.early] == [103.0, pytest.approx(106.9)]


@pytest.mark.parametrize(
    ("fault", "status", "headers", "says"),
    [
        (burst("/", retry_after=7), 429, {"retry-after": "7", "ratelimit-reason": "jira-burst-based"}, "Rate limit"),
        (quota("/", NOW), 429, {"retry-after": "1800", "x-ratelimit-reset": "2026-11-23T10:30Z"}, "Rate limit"),
        (limited("/", retry_after="-5"), 429, {"retry-after": "-5"}, "Too many"),
        (limited("/", retry_after=DATE), 429, {"retry-after": DATE}, "Too many"),
        (limited("/", status=503), 503, {}, "Too many"),
        (primary_limit("/", NOW), 403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1795428030"}, "API rate"),
        (secondary_limit("/"), 403, {"retry-after": "60"}, "secondary rate limit"),
        (secondary_limit("/", retry_after=None, status=429), 429, {}, "secondary rate limit"),
        (server_error("/", 503), 503, {"content-type": "text/html;charset=UTF-8"}, "<h1>503</h1>"),
        (login_page("/"), 200, {"content-type": "text/html;charset=UTF-8"}, "<title>Log in</title>"),
        (login_redirect("/"), 302, {"location": "/login", "content-length": "0"}, ""),
        (empty_body("/"), 200, {"content-length": "0"}, ""),
        (empty_body("/", b"null"), 200, {}, "null"),
        (jira_unauthorized("/"), 401, {"www-authenticate": 'Basic realm="Jira"'}, "Client must be authenticated"),
        (jira_anonymous("/"), 200, {}, '"issues":[]'),
        (github_unauthorized("/"), 401, {}, "Bad credentials"),
        (sso_required("/"), 403, {"x-github-sso": "required; url=https://github.invalid/orgs/acme/sso"}, "SAML"),
        (suspended("/"), 403, {}, "suspended"),
    ],
)  # fmt: skip
async def test_a_vendors_fault_has_the_vendors_words(
    fault: Fault, status: int, headers: dict[str, str], says: str
) -> None:
    """Status, headers and text are those that the vendor documents."""
    async with client(Faults([fault]).around(_well), {}) as ask:
        answer = await ask.get("/anything")
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name in headers} == headers
    assert says in answer.text


async def test_a_fault_strikes_when_it_is_meant_to() -> None:
    """After the first two, twice, and only where the request is meant."""
    faults = Faults([server_error(r"GET /a\?x=1", times=2), Fault(when=_posted, kind="answer", status=418)])
    faults.add(Fault(when="/b", kind="answer", status=500, skip=2, times=2))
    async with client(faults.around(_well), {}) as ask:
        a = [(await ask.get("/a?x=1")).status_code for _ in range(3)]
        b = [(await ask.get("/b")).status_code for _ in range(6)]
        c = (await ask.post("/c", content=b"x")).status_code
    assert (a, b, c) == ([502, 502, 200], [200, 200, 500, 500, 200, 200], 418)
    assert faults.count() == 10 and faults.count("^GET /b") == 6
    assert faults.asked[-1].body == b"x"


async def test_after_the_faults_are_cleared_nothing_goes_wrong() -> None:
    """Faults for ever and waits end with clear()."""
    faults = Faults([server_error("/a", times=None), burst("/b")], by_lot=by_lot(1, [server_error("/")], rate=1.0))
    async with client(faults.around(_well), {}) as ask:
        before = [(await ask.get(path)).status_code for path in ("/a", "/b", "/c")]
        faults.clear()
        after = [(await ask.get(path)).status_code for path in ("/a", "/b", "/c")]
    assert (before, after) == ([502, 429, 502], [200, 200, 200])


async def test_faults_by_lot_are_the_same_for_the_same_seed_and_let_the_patient_through() -> None:
    """The lottery is decided by its seed, and strikes the very same request twice at most."""

    async def struck(seed: int) -> list[int]:
        lot = by_lot(seed, [server_error("/", 502), limited("/", status=503)], rate=0.5, most=30)
        async with client(Faults(by_lot=lot).around(_well), {}) as ask:
            return [(await ask.get(f"/{number % 20}")).status_code for number in range(100)]

    first, again, other = await struck(1), await struck(1), await struck(2)
    assert first == again != other
    assert 0 < sum(1 for status in first if status != 200) <= 30
    assert max(sum(1 for status in first[path::20] if status != 200) for path in range(20)) <= 2


async def test_latency_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow answer is the tracker's own."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("services.simulator.faults.asyncio.sleep", wait)
    async with client(Faults([Fault(when="/", kind="pass", seconds=12.5)]).around(_well), {}) as ask:
        assert (await ask.get("/")).text == "well"
    assert waited == [12.5]


async def test_the_time_of_a_quota_is_that_of_the_world() -> None:
    """The reset is told in the vendor's form, without seconds."""
    assert quota("/", NOW + timedelta(minutes=1)).headers["X-RateLimit-Reset"] == "2026-11-23T10:31Z"


def _posted(asked: Asked) -> bool:
    return asked.method == "POST"


async def _well(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A fault is no error of the server: nothing is logged as one."""
    yield
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
