"""HTTP: the application builder, problems, strict bodies, conditional reads, idempotent writes.

Handlers are plain Litestar handlers. Each declares `opt={"scope": "..."}` or `opt={"public": True}`, takes
`principal: Principal` where it acts for somebody, and a body as `data: SomeStruct`, a struct with
`forbid_unknown_fields=True`.
"""

from agio.platform.http.app import Lifespan, create_app
from agio.platform.http.conditional import conditional_responses, entity_tag, not_modified, tagged
from agio.platform.http.edge import RequestObserver
from agio.platform.http.idempotency import IdempotencyKey, IdempotentReplies
from agio.platform.http.inventory import Operation, UndeclaredAccess, list_operations
from agio.platform.http.openapi import build_document
from agio.platform.http.problems import find_problems, problem_members, render_problem
from agio.platform.http.requests import MAX_BODY_BYTES, MAX_JSON_DEPTH, decode_strictly

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_JSON_DEPTH",
    "IdempotencyKey",
    "IdempotentReplies",
    "Lifespan",
    "Operation",
    "RequestObserver",
    "UndeclaredAccess",
    "build_document",
    "conditional_responses",
    "create_app",
    "decode_strictly",
    "entity_tag",
    "find_problems",
    "list_operations",
    "not_modified",
    "problem_members",
    "render_problem",
    "tagged",
]
