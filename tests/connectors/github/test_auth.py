"""The credential goes to the configured origin only, a lost one ends the pass, and what it may not see is a gap."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.base import AuthenticationFailed, Skippable, Unreachable
from connectors.github.numbers import IssueIds
from connectors.github.sync import GitHubConnector
from services.simulator.faults import Fault
from services.simulator.github_host import TOKEN
from services.simulator.serve import serve_in_thread
from services.simulator.vendor_faults import github_unauthorized, sso_required, suspended
from tests.connectors.github.conftest import EVENTS, ISSUES, Host, read, seen

WAYS = {"issues": ISSUES, "events": EVENTS, "milestones": "/milestones", "parents": r"/repos/acme/web/issues/\d+$"}


class Elsewhere:
    """Another origin, which remembers who called."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.url = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        self.asked.append(f"{request.url.path} {request.headers.get('authorization')}")
        await Response(b"[]", media_type="application/json")(scope, receive, send)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    app = Elsewhere()
    with serve_in_thread(app) as (url,):
        app.url = url
        yield app


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_another_origin_is_refused(
    host: Host, connector: GitHubConnector, elsewhere: Elsewhere, status: int
) -> None:
    """No request, and no credential, goes there."""
    for way in (ISSUES, "/repos/acme/web"):
        host.faults.add(
            Fault(when=way, kind="answer", status=status, headers={"location": f"{elsewhere.url}/x"}, times=None)
        )
    with pytest.raises(AuthenticationFailed, match="redirects to"):
        await read(connector, host.there)
    with pytest.raises(AuthenticationFailed, match="redirects to"):
        await connector.discover()
    assert elsewhere.asked == []


@pytest.mark.parametrize(
    "link", ["{there}/next", "http://user@{here}/next", "https://{here}/next", "//169.254.169.254/"]
)
async def test_a_next_link_to_another_origin_is_refused(
    host: Host, connector: GitHubConnector, elsewhere: Elsewhere, link: str
) -> None:
    """A list whose next page is said to be elsewhere ends in a typed error; nothing is asked there."""
    host.fill(120)
    target = link.format(there=elsewhere.url, here=host.url.removeprefix("http://"))
    host.faults.add(Fault(when="/milestones", kind="rewrite", headers={"link": f'<{target}>; rel="next"'}, times=None))
    with pytest.raises(Unreachable, match="only sent to"):
        await read(connector, host.there)
    assert elsewhere.asked == []


async def test_a_parent_address_elsewhere_is_only_a_name(
    host: Host, connector: GitHubConnector, elsewhere: Elsewhere
) -> None:
    """Data never says where we ask: of a parent's address only owner, repository and number are used."""
    host.fill(3)
    addresses = [f"{elsewhere.url}/repos/acme/web/issues/2", f"{elsewhere.url}/repos/../../issues/1", "file:///etc"]

    def pointed(rows: list[Any]) -> list[Any]:
        return [row | {"parent_issue_url": address} for row, address in zip(rows, addresses, strict=False)]

    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, change=pointed))
    pages = await read(connector, host.there)
    assert [one.parent for page in pages for one in page.items] == [
        f"g:issue:{host.repository.items[1].id}", None, None
    ]  # fmt: skip
    assert elsewhere.asked == []


async def test_redirects_in_a_circle_end(host: Host, connector: GitHubConnector) -> None:
    """Five hops are enough."""
    host.faults.add(Fault(when="/meta", kind="answer", status=302, headers={"location": "/meta"}, times=None))
    with pytest.raises(AuthenticationFailed, match="circle"):
        await connector.discover()
    assert len(host.faults.asked) == 5


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_that_dies_midway_ends_the_pass(host: Host, connector: GitHubConnector, way: str) -> None:
    """401 on any kind of request: no further page, nothing complete; a new token goes on to the same set."""
    host.fill(250)
    if way == "parents":
        other = host.world.create(host.repository, "Parent of another time")
        host.world.edit(host.repository.items[0], parent=other.id)
        connector.ids = _Forgetful()  # a parent is asked for only where no page has named it
    host.faults.add(github_unauthorized(WAYS[way]))
    pages: list[Any] = []
    with pytest.raises(AuthenticationFailed, match=r"^g: the token is refused") as caught:
        await read(connector, host.there, on_page=pages.append)
    assert TOKEN not in str(caught.value)
    assert not any(page.complete for page in pages)
    host.faults.clear()
    rest = await read(connector, host.there, bytes(pages[-1].checkpoint) if pages else None)
    assert seen(pages) | seen(rest) == host.truth()


class _Forgetful(IssueIds):
    def note(self, repository: str, number: int, id_: int) -> None:
        """Never learns."""


async def test_a_suspended_installation_ends_the_pass(host: Host, connector: GitHubConnector) -> None:
    """It is the credential that fails, not one repository."""
    host.faults.add(suspended(ISSUES))
    with pytest.raises(AuthenticationFailed, match="suspended"):
        await read(connector, host.there)


async def test_a_repository_behind_single_sign_on_is_a_gap(host: Host, connector: GitHubConnector) -> None:
    """The gap says where to authorize the token; and a list from which some is withheld is a gap, too."""
    host.faults.add(sso_required(ISSUES))
    with pytest.raises(Skippable) as caught:
        await read(connector, host.there)
    assert (caught.value.gap.reason, caught.value.gap.container) == ("forbidden", "acme/web")
    assert "https://github.invalid/orgs/acme/sso" in caught.value.gap.fix
    host.faults.clear()
    withheld = {"X-GitHub-SSO": "partial-results; organizations=1"}
    host.faults.add(Fault(when=ISSUES, kind="rewrite", times=None, headers=withheld))
    with pytest.raises(Skippable) as caught:
        await read(connector, host.there)
    assert caught.value.gap.reason == "incomplete"


async def test_what_cannot_be_found_is_a_gap_and_the_others_go_on(host: Host) -> None:
    """Unknown, hidden and malformed repositories are named; the readable one is there."""
    connector = host.connector(repositories=("acme/none", "acme/hidden", "acme/odd", "acme/web"))
    host.world.add_container("github", "acme/hidden", "H")
    host.world.set_container("acme/hidden", "hidden")
    host.faults.add(Fault(when="/repos/acme/odd", kind="answer", body=b'{"id": null}', times=None))
    found = await connector.discover()
    assert [one.key for one in found.containers] == ["acme/web"]
    assert {(gap.container, gap.reason) for gap in found.gaps} == {
        ("acme/none", "not_found"), ("acme/hidden", "not_found"), ("acme/odd", "unreadable")
    }  # fmt: skip
    await connector.close()


async def test_a_repository_that_vanishes_midway_is_a_gap(host: Host, connector: GitHubConnector) -> None:
    """Hidden between two pages: nothing complete, nothing deleted, and it goes on when it is back."""
    host.fill(250)
    pages: list[Any] = []
    gone = Fault(when=r"/issues\?.*since=", kind="answer", status=404, body=b'{"message":"Not Found"}', times=None)
    host.faults.add(gone)
    with pytest.raises(Skippable):
        await read(connector, host.there, on_page=pages.append)
    assert not any(page.complete for page in pages)
    host.faults.clear()
    rest = await read(connector, host.there, bytes(pages[-1].checkpoint))
    assert seen(pages) | seen(rest) == host.truth()


async def test_no_error_tells_the_token(host: Host, connector: GitHubConnector) -> None:
    """A host that echoes what it got makes no leak."""
    echo = f'{{"message": "bad header: Bearer {TOKEN}"}}'.encode()
    host.faults.add(Fault(when=ISSUES, kind="answer", status=422, body=echo, times=None))
    with pytest.raises(Skippable) as caught:
        await read(connector, host.there)
    assert TOKEN not in str(caught.value) + repr(caught.value.gap)
    assert "[redacted]" in caught.value.gap.detail
