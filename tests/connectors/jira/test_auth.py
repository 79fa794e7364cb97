"""The credential goes to the configured address only, a lost one ends the pass, and what it may not see is a gap."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.base import AuthenticationFailed, Container, Skippable
from connectors.jira.sync import JiraConnector
from services.simulator.faults import Fault
from services.simulator.jira_site import TOKEN
from services.simulator.serve import serve_in_thread
from services.simulator.vendor_faults import jira_anonymous, jira_unauthorized
from tests.connectors.jira.conftest import HISTORY, SEARCH, Site, page_of_issues, read, seen


class Elsewhere:
    """Another origin, which remembers who called."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        self.asked.append(f"{request.url.path} {request.headers.get('authorization')}")
        await Response(b"{}", media_type="application/json")(scope, receive, send)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    app = Elsewhere()
    with serve_in_thread(app) as (url,):
        app.url = url
        yield app


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_another_origin_is_refused(
    site: Site, connector: JiraConnector, elsewhere: Elsewhere, status: int
) -> None:
    """No request, and no credential, goes there; neither from a list nor from a search."""
    for way in (SEARCH, "/serverInfo"):
        where = {"location": f"{elsewhere.url}/x"}
        site.faults.add(Fault(when=way, kind="answer", status=status, headers=where, times=None, skip=0))
    with pytest.raises(AuthenticationFailed, match="redirects to"):
        await connector.discover()
    site.faults.clear()
    await connector.discover()
    site.faults.add(
        Fault(when=SEARCH, kind="answer", status=status, headers={"location": f"{elsewhere.url}/x"}, times=None)
    )
    site.fill(3)
    with pytest.raises(AuthenticationFailed, match="redirects to"):
        await read(connector, site.there)
    assert elsewhere.asked == []


async def test_a_redirect_in_a_circle_ends(site: Site, connector: JiraConnector) -> None:
    """Five redirects on the same origin are enough."""
    way = {"location": "/rest/api/2/serverInfo"}
    site.faults.add(Fault(when="/serverInfo", kind="answer", status=307, headers=way, times=None))
    with pytest.raises(AuthenticationFailed, match="circle"):
        await connector.discover()
    assert site.faults.count() == 5


async def test_a_netrc_does_not_replace_the_credential(
    site: Site, connector: JiraConnector, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the user's home is none of ours."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    site.fill(3)
    assert seen(await read(connector, site.there)) == site.truth()


@pytest.mark.parametrize(
    "when", [page_of_issues, HISTORY, "/myself", "/version"], ids=["issues", "histories", "myself", "versions"]
)
async def test_a_401_in_the_middle_ends_the_pass(site: Site, connector: JiraConnector, when: Any) -> None:
    """Exit code 4's error at once, with the source's name and without the token; nothing is complete."""
    site.fill(150)
    site.faults.add(replace(jira_unauthorized(""), when=when, skip=0 if when == "/version" else 1))
    pages: list[Any] = []
    with pytest.raises(AuthenticationFailed, match=r"^j: ") as caught:
        await read(connector, site.there, on_page=pages.append)
    assert TOKEN not in str(caught.value)
    assert not any(page.complete for page in pages)


async def test_an_expired_token_that_lists_nothing_completes_nothing(site: Site, connector: JiraConnector) -> None:
    """200 and no issues for a search, and 401 for `myself` after it: the pass fails, whatever the search said."""
    site.fill(150)
    first = await read(connector, site.there)
    site.faults.add(jira_anonymous())
    site.faults.add(replace(jira_unauthorized("/myself"), skip=2))
    pages: list[Any] = []
    with pytest.raises(AuthenticationFailed):
        await read(connector, site.there, bytes(first[-1].checkpoint), on_page=pages.append)
    assert not any(page.complete for page in pages)


@pytest.mark.parametrize(
    "headers",
    [{"x-seraph-loginreason": "AUTHENTICATED_FAILED"}, {"x-seraph-loginreason": "AUTHENTICATION_DENIED"},
     {"x-ausername": "anonymous"}],
)  # fmt: skip
async def test_a_site_that_takes_us_for_nobody_is_an_error_of_the_credential(
    site: Site, connector: JiraConnector, headers: dict[str, str]
) -> None:
    """The headers of a refused login count, although the status is 200."""
    site.fill(3)
    site.faults.add(Fault(when=SEARCH, kind="rewrite", times=None, headers=headers))
    with pytest.raises(AuthenticationFailed):
        await read(connector, site.there)


async def test_another_account_in_the_middle_ends_the_pass(site: Site, connector: JiraConnector) -> None:
    """Who we are when a pass ends is who we were when it began."""
    site.fill(3)
    other = Fault(
        when="/myself", kind="rewrite", skip=2, times=None, change=lambda data: data | {"accountId": "5b10-other"}
    )
    site.faults.add(other)
    pages: list[Any] = []
    with pytest.raises(AuthenticationFailed, match="the account changed"):
        await read(connector, site.there, on_page=pages.append)
    assert not any(page.complete for page in pages)


@pytest.mark.parametrize(("status", "reason"), [(403, "forbidden"), (404, "not_found"), (400, "unreadable")])
async def test_a_project_that_cannot_be_read_is_a_gap_and_the_others_go_on(
    site: Site, status: int, reason: str
) -> None:
    """Its error says which project, why, and how to mend it; another project is read through the same connector."""
    other = site.world.add_container("jira", "APP", "App")
    site.fill(3, where=other)
    site.fill(3)
    connector = site.connector(projects=("WEB", "APP"))
    found = await connector.discover()
    assert [one.key for one in found.containers] == ["WEB", "APP"]
    refusal = b'{"errorMessages": ["you may not"], "errors": {}}'
    here = f"project = {site.project.id} ".encode()
    site.faults.add(
        Fault(when=lambda asked: here in asked.body, kind="answer", status=status, body=refusal, times=None)
    )
    with pytest.raises(Skippable, match=f"j WEB: .*{status}: you may not") as caught:
        await read(connector, found.containers[0])
    assert (caught.value.gap.container, caught.value.gap.reason) == ("WEB", reason)
    assert caught.value.gap.fix
    assert len(seen(await read(connector, found.containers[1]))) == 3
    await connector.close()


async def test_a_project_that_is_not_there_is_a_gap(site: Site) -> None:
    """The projects that can be seen are read; the missing one is named with its fix."""
    connector = site.connector(projects=("WEB", "GONE"))
    found = await connector.discover()
    assert found.containers == (Container(id=str(site.project.id), key="WEB", title="Web"),)
    assert [(gap.container, gap.reason) for gap in found.gaps] == [("GONE", "not_found")]
    await connector.close()


async def test_an_answer_that_echoes_the_token_is_not_repeated(site: Site, connector: JiraConnector) -> None:
    """A proxy that puts the credential in its message does not get it into our log."""
    site.fill(3)
    body = b'{"errorMessages": ["bad header %s"]}' % TOKEN.encode()
    site.faults.add(Fault(when=page_of_issues, kind="answer", status=400, body=body, times=None))
    with pytest.raises(Skippable, match="bad header") as caught:
        await read(connector, site.there)
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(connector.config)
