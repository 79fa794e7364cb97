"""How the OpenAPI document describes what a route answers; nothing is checked again as it is answered."""

from typing import Any

from pydantic import BaseModel

from schemas.rest import Problem, ProblemDetail

_PROBLEMS = {
    400: "A parameter is wrong; the message says which.",
    401: "A token is needed, and none that is known was sent.",
    404: "There is no such thing; the message says what there is.",
    421: "The service is asked for by a name that is not its own.",
}


def answers(model: type[BaseModel] | None = None, *, tagged: bool = False) -> dict[Any, Any]:
    """The `responses` of a route: its answer (without a model: what its class says), and problems.

    ``tagged`` where the answer has an ETag. With a ``default``, FastAPI leaves out its own 422, which we never answer.
    """
    # FastAPI would file a model under the media type of the route's class; a problem is JSON everywhere.
    problem = {"model": Problem} if model else {"content": {"application/json": {"schema": _in_one_piece()}}}
    found: dict[Any, Any] = {200: {"model": model}} if model else {}
    found |= {status: {**problem, "description": text} for status, text in _PROBLEMS.items()}
    if tagged:
        found[304] = {"description": "What the reader has by its ETag is still current."}
    return found | {"default": {**problem, "description": "Any other problem."}}


def _in_one_piece() -> dict[str, Any]:
    """A problem's schema without a reference to another one."""
    schema = Problem.model_json_schema()
    schema.pop("$defs")
    return schema | {"properties": {"error": ProblemDetail.model_json_schema()}}
