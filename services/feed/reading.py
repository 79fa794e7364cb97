"""What is asked of the tables by every face of the feed: the tree, items, findings, sources, explanations."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.amounts import of_shares
from services.feed.answered import answered, of_node
from services.feed.exports import alignments_of, open_findings
from services.feed.shapes import FIGURES, finding_json, item_json, links_json, moment, node_json
from services.ledger.postings import UNALIGNED
from services.ledger.strategies import AppliedStrategy, current_strategy
from services.storage import tables

Row = dict[str, Any]


async def nodes(connection: AsyncConnection, strategy: AppliedStrategy) -> dict[str, Row]:
    """Every node's JSON with its title, by id."""
    file = strategy.file
    named = {one.id: ("objective", one.title, one.owner) for one in file.objectives}
    named |= {one.id: ("initiative", one.title, one.owner) for one in file.initiatives}
    open_ = await open_findings(connection)
    found: dict[str, Row] = {}
    for row in await connection.execute(select(tables.node_figures)):
        if row.node in named:
            kind, title, owner = named[row.node]
            figures = FIGURES.decode(row.content)
            one = node_json(figures, kind, open_.get(row.node, []))
            found[row.node] = one | {"as_of": moment(row.as_of), "title": title, "owner": owner}
    return found


async def strategy_tree(connection: AsyncConnection, known: Mapping[str, Row] | None = None) -> Row | None:
    """The whole strategy with its nodes nested; None before the first ``apply``.

    An initiative stands below each objective that it serves. ``known`` are the nodes' figures as of another day.
    """
    strategy = await current_strategy(connection)
    if strategy is None:
        return None
    file = strategy.file
    figures = known if known is not None else await nodes(connection, strategy)

    def below(objective: str) -> list[Row]:
        children = [nested(one.id) for one in file.objectives if one.parent == objective and one.id in figures]
        return children + [
            {**figures[one.id], "share": one.serves[objective], "children": []}
            for one in file.initiatives
            if objective in one.serves and one.id in figures
        ]

    def nested(objective: str) -> Row:
        return {**figures[objective], "children": below(objective)}

    return {
        "id": file.strategy.id,
        "title": file.strategy.title,
        "vision": file.strategy.vision,
        "sponsor": file.strategy.sponsor,
        "version": strategy.version,
        "applied_at": moment(strategy.applied_at),
        "as_of": max((node["as_of"] for node in figures.values()), default=None),
        "stale": any(node["stale"] for node in figures.values()),
        "drivers": [one.model_dump(mode="json") for one in file.drivers],
        "plan": file.plan.model_dump(mode="json"),
        "nodes": [nested(one.id) for one in file.objectives if one.parent is None and one.id in figures],
        "findings": [one for one in await findings(connection) if one["state"] == "open"],
        "totals": await totals(connection),
    }


async def totals(connection: AsyncConnection) -> Row:
    """How many items are run, and how many serve nothing."""
    table = tables.balances.c
    rows = await connection.execute(
        select(table.node, func.sum(table.scope)).where(table.node.in_(("run", UNALIGNED))).group_by(table.node)
    )
    found = {node: of_shares(int(scope)) for node, scope in rows}
    return {"run": found.get("run", 0.0), "unaligned": found.get(UNALIGNED, 0.0)}


async def findings(connection: AsyncConnection) -> list[Row]:
    """Every finding, the open and severe ones first."""
    table = tables.findings.c
    order = (table.open.desc(), table.severity.desc(), table.opened_at.desc(), table.id)
    rows = (await connection.execute(select(tables.findings).order_by(*order))).all()
    said = await answered(connection, [row.id for row in rows])
    return [finding_json(row, said[row.id]) for row in rows]


async def sources(connection: AsyncConnection) -> list[Row]:
    """Every source: its state, its last complete pass, its gaps."""
    gaps: dict[str, list[Row]] = {}
    open_ = select(tables.gaps).where(tables.gaps.c.closed_at.is_(None)).order_by(tables.gaps.c.container)
    for row in await connection.execute(open_):
        gaps.setdefault(row.source, []).append(
            {
                "container": row.container,
                "reason": row.reason,
                "detail": row.detail,
                "fix": row.fix,
                "opened_at": moment(row.opened_at),
            }
        )
    counts = await _counts(connection, tables.quarantine.c.source)
    items = await _counts(connection, tables.items.c.source)
    rows = await connection.execute(select(tables.sources).order_by(tables.sources.c.name))
    return [
        {
            "name": row.name,
            "kind": row.kind,
            "flavour": row.flavour,
            "state": row.state,
            "items": items.get(row.name, 0),
            "last_complete_at": moment(row.last_complete_at),
            "last_attempt_at": moment(row.last_attempt_at),
            "waits_until": moment(row.waits_until),
            "error": row.error,
            "requests": row.requests,
            "poll_every_s": row.poll_every_s,
            "quarantined": counts.get(row.name, 0),
            "gaps": gaps.get(row.name, []),
        }
        for row in rows
    ]


async def _counts(connection: AsyncConnection, column: Any) -> dict[str, int]:
    rows = await connection.execute(select(column, func.count()).group_by(column))
    return {str(row[0]): int(row[1]) for row in rows}


async def item(connection: AsyncConnection, ref: str) -> Row | None:
    """An item with its links, by uid, ``source:key``, key or a former key; None where nothing is called that."""
    table, former = tables.items.c, tables.former_keys.c
    source, _, key = ref.partition(":")
    by_former = select(former.item).where(former.key.in_((ref, key)))
    statement = select(tables.items).where(
        or_(table.uid == ref, table.key == ref, (table.source == source) & (table.key == key), table.uid.in_(by_former))
    )
    rows = (await connection.execute(statement.order_by(table.key != ref, table.uid))).all()
    if not rows:
        return None
    aligned = await alignments_of(connection, [rows[0].uid])
    return item_json(rows[0], aligned.get(rows[0].uid, [])) | {"links": links_json(rows[0])}


async def unaligned_items(connection: AsyncConnection) -> list[Row]:
    """The counted items that serve nothing, by key."""
    table, posted = tables.items.c, tables.postings.c
    counted = (
        select(posted.item).where(posted.node == UNALIGNED).group_by(posted.item).having(func.sum(posted.scope) > 0)
    )
    rows = await connection.execute(select(tables.items).where(table.uid.in_(counted)).order_by(table.key))
    return [item_json(row, []) for row in rows]


async def explanation(connection: AsyncConnection, ref: str) -> Row | None:
    """Why an item is aligned as it is, or where a node's figures come from; ``lines`` say it in words."""
    strategy = await current_strategy(connection)
    figures = await nodes(connection, strategy) if strategy is not None else {}
    if ref in figures:
        return await node_explained(connection, figures[ref])
    found = await item(connection, ref)
    return None if found is None else await _item_explained(connection, found)


async def _item_explained(connection: AsyncConnection, found: Row) -> Row:
    lines = [f"{found['key']}  {found['title']}"]
    for row in found["alignment"]:
        via = ""
        if row["inherited_from"]:
            above = await item(connection, row["inherited_from"])
            via = f", inherited from {above['key'] if above else row['inherited_from']}"
        lines.append(
            f"  serves {row['node']} with a share of {row['share']:g}: "
            f"rule {row['rule']} at level {row['level']}{via}, since {row['valid_from']}"
        )
    if not found["alignment"]:
        lines.append("  serves nothing: no rule speaks for it or for anything above it")
    if found["ambiguous"]:
        lines.append("  ambiguous: several nodes claim it at the same level, so they share it")
    if found["rule_error"]:
        lines.append("  a rule failed on it and could have changed this answer")
    return {"item": found, "lines": lines}


async def node_explained(connection: AsyncConnection, node: Row, until: date | None = None) -> Row:
    """Where a node's figures come from, as far as a day's end; ``lines`` say it in words."""
    progress, forecast = node["progress"], node["forecast"]
    posted = tables.postings.c
    counted = (
        select(posted.item, func.sum(posted.scope), func.sum(posted.done))
        .where((posted.node == node["id"]) & (posted.day <= (until or date.max)))
        .group_by(posted.item)
        .having(func.sum(posted.scope) > 0)
    )
    rows = (await connection.execute(counted.order_by(posted.item))).all()
    lines = [
        f"{node['id']}  {node['title']}, as of {node['as_of']}",
        f"  {progress['done']:g} of {progress['scope']:g} ({progress['unit']}) over {progress['n']} items are done"
        + (f"; wanted unit {progress['unit_wanted']}" if progress["unit"] != progress["unit_wanted"] else ""),
        f"  ratio {progress['ratio']}" + (f": {progress['reason']}" if progress["reason"] else ""),
        f"  of the baseline's {progress['baseline_scope']}: {progress['baseline_ratio']}",
        f"  forecast by {forecast['method']} over {forecast['n']} weeks: P50 {forecast['p50']}, P85 {forecast['p85']}, "
        f"chance on time {forecast['chance_on_time']}" + (f" ({forecast['reason']})" if forecast["reason"] else ""),
        f"  {len(rows)} items are counted in its own ledger",
    ]
    decisions, appraisals = await of_node(connection, node["id"])
    lines += [
        f"  last appraised on {one['at'][:10]} by {one['by']}: {one['decision']}, {one['why']}"
        for one in appraisals[:1]
    ]
    lines += [
        f"  decided on {one['at'][:10]} by {one['by']} about {one['finding']}: {one['decision']}, {one['why']}"
        + (f"; expected: {one['effect']}" if one["effect"] else "")
        for one in decisions[:5]
    ]
    items = [{"item": uid, "scope": of_shares(int(scope)), "done": of_shares(int(done))} for uid, scope, done in rows]
    return {"node": node, "items": items, "decisions": decisions, "appraisals": appraisals, "lines": lines}
