"""Pages: the strategy, a node, the sources. Drawn on the server; a small script keeps them current."""

from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import select

from schemas.rest import Badge
from services.feed import reading
from services.feed.charts import badge_svg, burnup_svg
from services.feed.described import answers
from services.feed.exports import alignments_of
from services.feed.ports import Figures
from services.feed.shapes import item_json, moment, plain
from services.ledger.strategies import current_strategy
from services.storage import tables
from services.storage.database import Database

_HERE = Path(__file__).parent
_ROWS = 50


class _Picture(Response):
    media_type = "image/svg+xml"


def _percent(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    if 0 < ratio < 0.01:
        return "<1 %"
    return f"{ratio * 100:.0f} %" if not 0.99 < ratio < 1 else ">99 %"


def _amount(value: float) -> str:
    return f"{value:,.1f}".rstrip("0").rstrip(".")


def _day(value: str | date | None) -> str:
    if value is None:
        return "–"
    found = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return f"{found.day} {found:%b %Y}"


def _time(value: str | None) -> str:
    return "never" if value is None else f"{_day(value)}, {value[11:16]} UTC"


def _today(now: datetime, zone: ZoneInfo) -> date:
    return now.astimezone(zone).date()


def _safe_url(value: str) -> str:
    return value if urlsplit(value).scheme in ("http", "https") else ""


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent, "amount": _amount, "day": _day, "time": _time, "safe_url": _safe_url,
    }  # fmt: skip
    return environment


def add_pages(app: FastAPI, database: Database, figures: Figures) -> None:
    """Add the pages, their `.json` twins, badges and embeddable charts."""
    environment = _environment()
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")

    def page(name: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(environment.get_template(name).render(**values), status)

    async def home() -> dict[str, Any]:
        async with database.read() as connection:
            return {
                "strategy": await reading.strategy_tree(connection),
                "sources": await reading.sources(connection),
                "now": moment(database.now()),
            }

    @app.get("/", include_in_schema=False)
    async def strategy_page() -> Response:
        return page("strategy.html", **await home())

    @app.get("/index.json", include_in_schema=False)
    async def strategy_twin() -> Response:
        return JSONResponse(await home())

    async def about(node: str, cursor: str) -> dict[str, Any]:
        async with database.read() as connection:
            strategy = await current_strategy(connection)
            nodes = await reading.nodes(connection, strategy) if strategy else {}
            if node not in nodes or strategy is None:
                raise HTTPException(404, f"there is no node {node[:100]!r}")
            now = database.now()
            detail = await figures.forecast(connection, node, now)
            burnup = await figures.burnup(connection, node, now)
            rows = await _items(connection, node, cursor)
            shares = await alignments_of(connection, [row.uid for row in rows[:_ROWS]])
            return {
                "node": nodes[node],
                "nodes": nodes,
                "findings": [one for one in await reading.findings(connection) if one["node"] == node],
                "burnup": burnup,
                "forecast": detail,
                "chart": burnup_svg(
                    nodes[node]["title"], burnup, detail.forecast, now.astimezone(strategy.zone).date()
                ),
                "items": [item_json(row, shares.get(row.uid, [])) for row in rows[:_ROWS]],
                "next": rows[_ROWS - 1].uid if len(rows) > _ROWS else None,
                "now": moment(now),
            }

    @app.get("/nodes/{node}.json", include_in_schema=False)
    async def node_twin(node: str, after: str = "") -> Response:
        found = await about(node, after)
        return JSONResponse({name: plain(value) for name, value in found.items() if name not in ("chart", "nodes")})

    @app.get("/nodes/{node}", include_in_schema=False)
    async def node_page(node: str, after: str = Query("")) -> Response:
        try:
            return page("node.html", after=after, **await about(node, after))
        except HTTPException as error:
            return page("missing.html", 404, message=str(error.detail))

    @app.get("/sources", include_in_schema=False)
    async def sources_page() -> Response:
        return page("sources.html", **await home())

    @app.get("/sources.json", include_in_schema=False)
    async def sources_twin() -> Response:
        return JSONResponse((await home())["sources"])

    _add_embeds(app, database, figures)

    @app.get("/{path:path}", include_in_schema=False)
    async def missing(request: Request, path: str) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return page("missing.html", 404, message="There is nothing at this address.")
        raise HTTPException(404, "there is nothing at this address; /openapi.json lists what there is")


async def _items(connection: Any, node: str, after: str) -> list[Any]:
    table, aligned = tables.items.c, tables.alignments.c
    of_node = select(aligned.item).where((aligned.node == node) & aligned.valid_to.is_(None))
    statement = select(tables.items).where(table.uid.in_(of_node) & (table.uid > after)).order_by(table.uid)
    return list(await connection.execute(statement.limit(_ROWS + 1)))


def _add_embeds(app: FastAPI, database: Database, figures: Figures) -> None:
    async def one(node: str) -> dict[str, Any]:
        async with database.read() as connection:
            strategy = await current_strategy(connection)
            nodes = await reading.nodes(connection, strategy) if strategy else {}
        if node not in nodes:
            raise HTTPException(404, f"there is no node {node[:100]!r}")
        return nodes[node]

    def message(node: dict[str, Any]) -> str:
        chance = node["forecast"]["chance_on_time"]
        return _percent(node["progress"]["ratio"]) + ("" if chance is None else f", {_percent(chance)} on time")

    @app.get("/badge/{node}.svg", response_class=_Picture, responses=answers())
    async def badge(node: str) -> Response:
        """A badge with a node's progress and chance."""
        found = await one(node)
        return _Picture(badge_svg(node, message(found), found["health"]))

    @app.get("/badge/{node}.json", responses=answers(Badge))
    async def badge_twin(node: str) -> Response:
        """The badge for shields.io's endpoint badges."""
        found = await one(node)
        colour = {"green": "green", "amber": "yellow", "red": "red", "unknown": "lightgrey"}[found["health"]]
        return JSONResponse({"schemaVersion": 1, "label": node, "message": message(found), "color": colour})

    @app.get("/embed/{node}.svg", response_class=_Picture, responses=answers())
    async def embed(node: str) -> Response:
        """A node's burn-up and forecast as a picture of its own."""
        found = await one(node)
        async with database.read() as connection:
            now = database.now()
            burnup = await figures.burnup(connection, node, now)
            detail = await figures.forecast(connection, node, now)
        chart = burnup_svg(found["title"], burnup, detail.forecast, now.date())
        style = (_HERE / "static" / "chart.css").read_text(encoding="utf-8")
        drawn = chart.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        head, _, rest = drawn.partition(">")
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return _Picture(f"{head}><style>{style}</style>{rest}", headers=policy)
