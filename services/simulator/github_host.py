"""A GitHub host over a simulated world: the part of its REST API that a reader needs."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from services.simulator.answers import Dated, json_answer, origin
from services.simulator.github_accounts import Account, Accounts, NotLetIn
from services.simulator.github_deliveries import Deliveries
from services.simulator.github_graphql import GithubGraphQL
from services.simulator.github_lists import Lists, Unprocessable, paged
from services.simulator.github_shapes import Row, event, events, issue, label, milestone, repository, user
from services.simulator.model import Container, Item
from services.simulator.registrations import Registrations, github_hook
from services.simulator.world import World

TOKEN = "simulated-github-token"  # noqa: S105 - opens nothing but the simulation
_DOCUMENTATION = "https://docs.github.com/rest"
_VERSIONS = ("2022-11-28", "2026-03-10")
_ACCEPTED = ("live", "archived")


class Refused(Exception):
    """A request that GitHub answers with an error of its usual shape."""

    def __init__(self, status: int, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.location = location


class Answer(NamedTuple):
    data: Any
    headers: Mapping[str, str] = MappingProxyType({})


class GithubHost:
    """The endpoints. ``hourly`` is the primary limit, None where it is off, as on an Enterprise Server by default;
    ``enterprise`` is the version of an Enterprise Server, which then has neither sub-issues nor types."""

    def __init__(
        self, world: World, *, token: str = TOKEN, hourly: int | None = 5000, enterprise: str | None = None
    ) -> None:
        self.world = world
        self.token = token  #: may change while the host runs, as a token may expire
        self.hourly = hourly
        self.registrations = Registrations()
        self.deliveries = Deliveries()
        self._enterprise = enterprise
        self.graphql = GithubGraphQL(world, old=enterprise is not None)
        self.accounts = Accounts(world)
        self._lists = Lists(world)

    def app(self) -> ASGIApp:
        in_repository: list[tuple[str, Callable[[Request, Container], Answer]]] = [
            ("", self.repository),
            ("/issues", self.issues),
            ("/issues/events", self.repository_events),
            ("/pulls", self.pulls),
            ("/issues/{number:int}", self.issue),
            ("/issues/{number:int}/events", self.issue_events),
            ("/issues/{number:int}/timeline", self.issue_events),
            ("/milestones", self.milestones),
            ("/milestones/{number:int}", self.milestone),
            ("/labels", self.labels),
            ("/hooks", self.hooks),
            ("/hooks/{hook:int}", self.hook),
            ("/hooks/{hook:int}/deliveries", self.sent),
            ("/hooks/{hook:int}/deliveries/{delivery:int}", self.delivery),
        ]
        if self._enterprise is None:
            in_repository += [
                ("/issues/{number:int}/sub_issues", self.sub_issues),
                ("/issues/{number:int}/parent", self.parent),
            ]
        routes: list[BaseRoute] = [
            Route("/meta", self._answered(self.meta)),
            Route("/user", self._answered(self.user)),
            Route("/rate_limit", self._answered(self.rate_limit)),
            Route("/orgs/{owner}/repos", self._answered(self.repositories)),
            Route("/orgs/{owner}/hooks", self._answered(self.of_organization), methods=["GET", "POST"]),
            Route("/orgs/{owner}/hooks/{hook:int}", self._answered(self.of_organization), methods=["PATCH"]),
            Route("/user/repos", self._answered(self.own_repositories)),
            Route("/installation/repositories", self._answered(self.installed)),
            Route("/app/installations/{id:int}/access_tokens", self._token_given, methods=["POST"]),
        ]
        routes += [
            Route(prefix + path, self._answered(self._inside(endpoint)), methods=["GET", "POST", "PATCH"])
            for path, endpoint in in_repository
            for prefix in ("/repositories/{id:int}", "/repos/{owner}/{name}")
        ]
        routes.append(Route("/{path:path}", self._answered(self.nothing)))
        queries: list[BaseRoute] = [
            Route(path, self._queried, methods=["POST"]) for path in ("/graphql", "/api/graphql")
        ]
        return Dated(Starlette(routes=[*queries, Mount("/api/v3", routes=routes), *routes]), self.world)

    # -- the door ----------------------------------------------------------------------------------------------

    def _answered(self, endpoint: Callable[[Request], Answer]) -> Callable[[Request], Response]:
        async def answered(request: Request) -> Response:
            request.state.asked = msgspec.json.decode(await request.body() or b"{}")
            with self.world.lock:
                try:
                    self._let_in(request)
                    answer = endpoint(request)
                except Refused as error:
                    return self._error(request, error)
                except Unprocessable as error:
                    return self._error(request, Refused(422, str(error)))
                return self._conditional(request, answer)

        return answered  # type: ignore[return-value]  # Starlette takes either

    async def _queried(self, request: Request) -> Response:
        asked = await request.body()
        with self.world.lock:
            try:
                self._recognise(request)
            except Refused as error:
                return json_answer({"message": error.message, "documentation_url": _DOCUMENTATION}, error.status)
            return self.graphql.answer(asked)

    def _recognise(self, request: Request) -> Account:
        try:
            account = self.accounts.of(request.headers.get("authorization", ""), self.token)
        except NotLetIn as error:
            raise Refused(error.status, error.message) from None
        if account.window is None or self.world.now - account.window >= timedelta(hours=1):
            account.window, account.used = self.world.now, 0
        request.state.account = account
        return account

    def _let_in(self, request: Request) -> None:
        account = self._recognise(request)
        version = request.headers.get("x-github-api-version", _VERSIONS[0])
        if version not in _VERSIONS:
            raise Refused(400, f"The API version {version[:20]} is not supported.")
        hourly = self._hourly(account)
        if hourly is not None and account.used >= hourly and not request.url.path.endswith("/rate_limit"):
            raise Refused(403, "API rate limit exceeded for user ID 1.")

    def _hourly(self, account: Account) -> int | None:
        return self.hourly if account.hourly is None else account.hourly

    def _token_given(self, request: Request) -> Response:
        with self.world.lock:
            app, now = self.accounts.app, self.world.now
            try:
                if app is None:
                    raise NotLetIn(401, "A JSON web token could not be decoded")
                app.verify(request.headers.get("authorization", "").partition(" ")[2], now)
                return json_answer(app.give(request.path_params["id"], now), 201)
            except NotLetIn as error:
                return json_answer({"message": error.message, "documentation_url": _DOCUMENTATION}, error.status)

    def _conditional(self, request: Request, answer: Answer) -> Response:
        found = json_answer(answer.data, headers=answer.headers)
        # an ETag belongs to the token that asked: after a rotation every one of them misses
        asker = request.headers["authorization"].partition(" ")[2]
        etag = f'W/"{hashlib.sha256(asker.encode() + bytes(found.body)).hexdigest()}"'
        found.headers["etag"] = etag
        if request.headers.get("if-none-match") == etag:
            found = Response(status_code=304, headers={"etag": etag, **answer.headers})
        elif not request.url.path.endswith("/rate_limit"):
            request.state.account.used += 1
        return self._with_limits(request, found)

    def _error(self, request: Request, error: Refused) -> Response:
        data: Row = {"message": error.message, "documentation_url": _DOCUMENTATION, "status": str(error.status)}
        headers = {}
        if error.location is not None:
            data["url"] = headers["location"] = error.location
        return self._with_limits(request, json_answer(data, error.status, headers))

    def _with_limits(self, request: Request, response: Response) -> Response:
        response.headers["x-github-media-type"] = "github.v3; format=json"
        if self._enterprise is not None:
            response.headers["x-github-enterprise-version"] = self._enterprise
        account = getattr(request.state, "account", self.accounts.own)
        if account.scopes is not None:
            response.headers["x-oauth-scopes"] = account.scopes
        hourly = self._hourly(account)
        if hourly is not None:
            for name, value in self._limits(account, hourly).items():
                response.headers[f"x-ratelimit-{name}"] = str(value)
            response.headers["x-ratelimit-resource"] = "core"
        return response

    def _limits(self, account: Account, hourly: int) -> dict[str, int]:
        reset = int(((account.window or self.world.now) + timedelta(hours=1)).timestamp())
        return {"limit": hourly, "remaining": max(0, hourly - account.used), "used": account.used, "reset": reset}

    # -- the host ----------------------------------------------------------------------------------------------

    def nothing(self, request: Request) -> Answer:
        raise Refused(404, "Not Found")

    def meta(self, request: Request) -> Answer:
        data: Row = {"verifiable_password_authentication": False}
        return Answer(data | ({"installed_version": self._enterprise} if self._enterprise else {}))

    def user(self, request: Request) -> Answer:
        return Answer(user(1), {"x-oauth-scopes": "read:org, repo"})

    def rate_limit(self, request: Request) -> Answer:
        account: Account = request.state.account
        hourly = self._hourly(account)
        if hourly is None:
            raise Refused(404, "Rate limiting is not enabled.")
        core = self._limits(account, hourly)
        return Answer({"resources": {"core": core}, "rate": core})

    def repositories(self, request: Request) -> Answer:
        owner = request.path_params["owner"].lower()
        found = [one for one in self._visible(request) if one.key.lower().startswith(f"{owner}/")]
        if not found:
            raise Refused(404, "Not Found")
        here = f"{self._api(request)}/organizations/5/repos"
        return Answer(*paged([repository(one, self._api(request)) for one in found], request, here))

    def own_repositories(self, request: Request) -> Answer:
        if self.accounts.installed(request.state.account):
            raise Refused(403, "Resource not accessible by integration")
        found = [repository(one, self._api(request)) for one in self._visible(request)]
        return Answer(*paged(found, request, f"{self._api(request)}/user/repos"))

    def installed(self, request: Request) -> Answer:
        if not self.accounts.installed(request.state.account):
            raise Refused(403, "You must authenticate with an installation access token in order to list repositories.")
        found = [repository(one, self._api(request)) for one in self._visible(request)]
        rows, headers = paged(found, request, f"{self._api(request)}/installation/repositories")
        return Answer({"total_count": len(found), "repository_selection": "selected", "repositories": rows}, headers)

    def _visible(self, request: Request) -> list[Container]:
        found = [one for one in self.world.containers.values() if one.tracker == "github" and one.state in _ACCEPTED]
        return [one for one in found if request.state.account.may_see(one.key)]

    # -- a repository ------------------------------------------------------------------------------------------

    def _inside(self, endpoint: Callable[[Request, Container], Answer]) -> Callable[[Request], Answer]:
        def inside(request: Request) -> Answer:
            return endpoint(request, self._container(request))

        return inside

    def repository(self, request: Request, where: Container) -> Answer:
        return Answer(repository(where, self._api(request)))

    def issues(self, request: Request, where: Container) -> Answer:
        items, headers = self._lists.issues(where, request, f"{self._home(request, where)}/issues")
        return Answer([self._row(request, item) for item in items], headers)

    def repository_events(self, request: Request, where: Container) -> Answer:
        found, headers = paged(self._lists.events(where), request, f"{self._home(request, where)}/issues/events")
        api, old = self._api(request), self._enterprise is not None
        return Answer([event(self.world, one, api, with_issue=True, enterprise=old) for one in found], headers)

    def issue(self, request: Request, where: Container) -> Answer:
        number = request.path_params["number"]
        new = self.world.items.get(self.world.transferred.get((where.id, number), 0))
        if new is not None:
            home = self.world.containers[new.container]
            if home.state not in _ACCEPTED:
                raise Refused(404, "Not Found")
            raise Refused(301, "Moved Permanently", f"{self._home(request, home)}/issues/{new.number}")
        if self.world.find(where.id, number) is None and (where.id, number) in self.world.deleted:
            raise Refused(410, "This issue was deleted")
        return Answer(self._row(request, self._item(request, where)))

    def issue_events(self, request: Request, where: Container) -> Answer:
        item = self._item(request, where)
        found, headers = paged(events(self.world, item), request, str(request.url.replace(query="")))
        return Answer([event(self.world, one, self._api(request)) for one in found], headers)

    def sub_issues(self, request: Request, where: Container) -> Answer:
        children = sorted(self.world.children.get(self._item(request, where).id, ()))
        found, headers = paged(children, request, str(request.url.replace(query="")))
        return Answer([self._row(request, self.world.items[one]) for one in found], headers)

    def parent(self, request: Request, where: Container) -> Answer:
        found = self.world.items.get(self._item(request, where).parent or 0)
        if found is None:
            raise Refused(404, "Not Found")
        return Answer(self._row(request, found))

    def pulls(self, request: Request, where: Container) -> Answer:
        state = request.query_params.get("state", "open")
        found = [one for one in where.items if one.pull_request and state in ("all", one.status)]
        return Answer(
            *paged([self._row(request, one) for one in found], request, f"{self._home(request, where)}/pulls")
        )

    def milestones(self, request: Request, where: Container) -> Answer:
        state = request.query_params.get("state", "open")
        found = [one for one in where.milestones if state in ("all", "closed" if one.closed else "open")]
        rows: Sequence[Row] = [milestone(self.world, one, self._api(request)) for one in found]
        return Answer(*paged(rows, request, f"{self._home(request, where)}/milestones"))

    def milestone(self, request: Request, where: Container) -> Answer:
        for one in where.milestones:
            if one.number == request.path_params["number"]:
                return Answer(milestone(self.world, one, self._api(request)))
        raise Refused(404, "Not Found")

    def hooks(self, request: Request, where: Container) -> Answer:
        return self._registered(request, where.id)

    def hook(self, request: Request, where: Container) -> Answer:
        return self._registered(request, where.id)

    def of_organization(self, request: Request) -> Answer:
        """An organization's hooks; they are kept under nought, since there is one organization."""
        if not any(one.key.split("/")[0] == request.path_params["owner"] for one in self.world.containers.values()):
            raise Refused(404, "Not Found")
        return self._registered(request, 0)

    def _registered(self, request: Request, where: int) -> Answer:
        """The hooks of a repository or an organization, with another one or one that is changed."""
        known, wanted = self.registrations.of(where), request.state.asked
        if not self.registrations.allowed:
            raise Refused(404, "Not Found")
        if request.method == "GET":
            return Answer(known)
        if request.method == "PATCH":
            changed = self.registrations.change(where, request.path_params["hook"], *github_hook(wanted))
            if changed is None:
                raise Refused(404, "Not Found")
            return Answer(changed)
        if any(one["config"]["url"] == wanted["config"]["url"] for one in known):
            raise Refused(422, "Validation Failed: Hook already exists on this repository")
        return Answer(self.registrations.add(where, *github_hook(wanted)))

    def sent(self, request: Request, where: Container) -> Answer:
        hook = self._hook(request, where)
        here = f"{self._home(request, where)}/hooks/{hook}/deliveries"
        return Answer(*self.deliveries.page(hook, dict(request.query_params), here))

    def delivery(self, request: Request, where: Container) -> Answer:
        found = self.deliveries.whole(self._hook(request, where), request.path_params["delivery"])
        if found is None:
            raise Refused(404, "Not Found")
        return Answer(found)

    def _hook(self, request: Request, where: Container) -> int:
        hook: int = request.path_params["hook"]
        if not self.registrations.allowed or hook not in [one["id"] for one in self.registrations.of(where.id)]:
            raise Refused(404, "Not Found")
        return hook

    def labels(self, request: Request, where: Container) -> Answer:
        rows = [label(where, name, self._api(request)) for name in sorted(where.labels)]
        return Answer(*paged(rows, request, f"{self._home(request, where)}/labels"))

    # -- within ------------------------------------------------------------------------------------------------

    def _api(self, request: Request) -> str:
        return origin(request) + ("/api/v3" if request.url.path.startswith("/api/v3/") else "")

    def _home(self, request: Request, where: Container) -> str:
        return f"{self._api(request)}/repositories/{where.id}"

    def _row(self, request: Request, item: Item) -> Row:
        return issue(self.world, item, self._api(request), enterprise=self._enterprise is not None)

    def _item(self, request: Request, where: Container) -> Item:
        item = self.world.find(where.id, request.path_params["number"])
        if item is None:
            raise Refused(404, "Not Found")
        return item

    def _container(self, request: Request) -> Container:
        asked = request.path_params
        if "id" in asked:
            found = self.world.containers.get(asked["id"])
            return self._readable(request, found)
        key = f"{asked['owner']}/{asked['name']}".lower()
        repositories = [one for one in self.world.containers.values() if one.tracker == "github"]
        for one in repositories:
            if one.key.lower() == key:
                return self._readable(request, one)
        for one in repositories:
            if key in (former.lower() for former in one.former_keys):
                self._readable(request, one)
                raise Refused(301, "Moved Permanently", self._moved(request, one))
        raise Refused(404, "Not Found")

    def _readable(self, request: Request, found: Container | None) -> Container:
        if found is None or found not in self._visible(request):
            raise Refused(404, "Not Found")
        return found

    def _moved(self, request: Request, to: Container) -> str:
        asked = request.path_params
        rest = request.url.path.split(f"/repos/{asked['owner']}/{asked['name']}", 1)[-1]
        query = f"?{request.url.query}" if request.url.query else ""
        return f"{self._home(request, to)}{rest}{query}"


def github_host(world: World, **settings: Any) -> ASGIApp:
    """The application of a host; ``settings`` are those of `GithubHost`."""
    return GithubHost(world, **settings).app()
