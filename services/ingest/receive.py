"""``POST /hooks/{source}``: the HTTP side of the inbox."""

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.ingest.hooks import LARGEST_BODY, Inbox, Refused
from services.storage.database import is_outage


def hooks_route(inbox: Inbox) -> Route:
    """The route that takes hooks: 200 once durable, 400 malformed, 401 unsigned, 404, 413 too large, 503 not now."""

    async def receive(request: Request) -> Response:
        try:
            body = await _body(request)
            outcome = await inbox.take(request.path_params["source"], dict(request.headers), body)
        except Refused as error:
            return _said(error.status, str(error))
        except ClientDisconnect:
            return _said(400, "the body broke off")
        except Exception as error:
            if not is_outage(error):
                raise
            return _said(503, "the database is away; send this delivery again", {"Retry-After": "30"})
        return JSONResponse({"outcome": outcome})

    return Route("/hooks/{source}", receive, methods=["POST"])


async def _body(request: Request) -> bytes:
    told = request.headers.get("content-length", "")
    if told.isascii() and told.isdigit() and int(told[:20]) > LARGEST_BODY:
        raise Refused(413, f"a body of more than {LARGEST_BODY // 2**20} MB is refused")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Refused(413, f"a body of more than {LARGEST_BODY // 2**20} MB is refused")
    return bytes(body)


def _said(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"status": status, "message": message, "fix": ""}}, status, headers)
