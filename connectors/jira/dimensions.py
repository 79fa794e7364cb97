"""What a site calls its statuses, types, resolutions and components. Source: Jira platform REST API, both versions."""

from connectors.ahead import together
from connectors.jira.client import JiraClient
from connectors.jira.rows import Row, id_of, rows_of
from connectors.jira.translate import category_of
from connectors.text import clean


async def names_of(client: JiraClient, project: str) -> dict[str, str]:
    """The names of all that a project's issues may show, by kind and id."""
    kinds = {
        "status": "status",
        "type": "issuetype",
        "resolution": "resolution",
        "component": f"project/{project}/components",
    }
    lists = await together([client.get(f"api/2/{path}", shape=list) for path in kinds.values()])
    return {
        f"{kind}:{id_of(row)}": _name(kind, row)
        for kind, rows in zip(kinds, lists, strict=True)
        for row in rows_of(rows)
        if id_of(row)
    }


def _name(kind: str, row: Row) -> str:
    name = clean(row.get("name"))
    return f"{name}\n{category_of(row)}" if kind == "status" else name
