"""Documentation that is served: the OpenAPI document, a page that shows it, and one page for each problem."""

import html
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router, get

from agio.kernel.problem import NotFound, Problem
from agio.platform.http.openapi import Document, build_document, walk_operations
from agio.platform.http.problems import find_problems

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
code, pre {{ font: 13px/1.45 ui-monospace, monospace }}
pre {{ overflow-x: auto; padding: .6rem .8rem; border: 1px solid #8884; border-radius: 6px }}
details {{ border-bottom: 1px solid #8883; padding: .45rem 0 }}
summary {{ cursor: pointer }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0 }}
b.method {{ display: inline-block; width: 4.5rem }}
.scope {{ opacity: .7; float: right }}
</style></head><body>{body}</body></html>
"""
_PUBLIC_FOR_AN_HOUR: Final = {"Cache-Control": "public, max-age=3600"}


class ProblemDescription(msgspec.Struct, frozen=True):
    """One kind of problem."""

    code: str
    status: int
    title: str
    description: str


def build_pages(title: str, version: str, description: str) -> Router:
    """Routes of the documentation; the document is built at the first request and kept."""
    built: list[Document] = []

    def document_of(app: Litestar) -> Document:
        if not built:
            built.append(build_document(app, title=title, version=version, description=description))
        return built[0]

    @get("/openapi.json", sync_to_thread=False, media_type=MediaType.JSON)
    def openapi(request: Request[Any, Any, Any]) -> bytes:
        """The OpenAPI 3.1 document."""
        return msgspec.json.encode(document_of(request.app))

    @get("/docs", sync_to_thread=False, media_type=MediaType.HTML)
    def docs(request: Request[Any, Any, Any]) -> str:
        """The OpenAPI document for reading."""
        return render_reference(document_of(request.app))

    return Router(
        "/",
        route_handlers=[openapi, docs, list_problems, show_problem],
        opt={"public": True},
        include_in_schema=False,
    )


@get("/problems", sync_to_thread=False, media_type=MediaType.HTML)
def list_problems() -> str:
    """Every kind of problem that an answer can have."""
    rows = "".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{code}"><code>{code}</code></a></td>'
        f"<td>{html.escape(kind.title)}</td></tr>"
        for code, kind in find_problems().items()
    )
    return _PAGE.format(title="Problems", body=f"<h1>Problems</h1><table>{rows}</table>")


@get("/problems/{code:str}", sync_to_thread=False)
def show_problem(code: str, request: Request[Any, Any, Any]) -> Response[Any]:
    """What a problem means and what to do about it; JSON when that is what is accepted."""
    kind = find_problems().get(code)
    if kind is None:
        raise NotFound("there is no problem of this name; /problems lists them all")
    described = ProblemDescription(code, kind.status, kind.title, describe_problem(kind))
    if "application/json" in request.headers.get("Accept", ""):
        return Response(described, headers=_PUBLIC_FOR_AN_HOUR)
    text = html.escape(described.description).replace("`", "")
    body = (
        f"<h1>{html.escape(kind.title)}</h1>"
        f"<p><code>{html.escape(code)}</code>, HTTP status {kind.status}</p>"
        f'<p>{text}</p><p><a href="/problems">All problems</a></p>'
    )
    page = _PAGE.format(title=html.escape(kind.title), body=body)
    return Response(page, media_type=MediaType.HTML, headers=_PUBLIC_FOR_AN_HOUR)


def describe_problem(kind: type[Problem]) -> str:
    """The sentence that its class carries."""
    return " ".join((kind.__doc__ or kind.title).split())


def render_reference(document: Document) -> str:
    """The whole document as one page without scripts, so that it works offline and under a strict policy."""
    information = document["info"]
    introduction = (
        f"<h1>{html.escape(information['title'])} {html.escape(information['version'])}</h1>"
        f"<p>{html.escape(information.get('description', ''))}</p>"
        '<p><a href="/openapi.json">openapi.json</a> &middot; <a href="/problems">problems</a></p>'
        "<p>Send <code>Authorization: Bearer agio_...</code> with every request that names a scope.</p>"
    )
    sections = [introduction]
    sections += [_render_operation(*operation) for operation in walk_operations(document)]
    sections.append("<h2>Types</h2>")
    sections += [
        f'<details id="{html.escape(name)}"><summary><code>{html.escape(name)}</code></summary>'
        f"<pre>{_pretty(schema)}</pre></details>"
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
    return _PAGE.format(title=html.escape(information["title"]), body="".join(sections))


def _render_operation(path: str, method: str, operation: Document) -> str:
    scope: str | None = operation.get("x-agio-scope")
    access = "public" if scope is None else "any key" if scope == "*" else scope
    parameters = "".join(
        f"<tr><td><code>{html.escape(parameter['name'])}</code></td><td>{parameter['in']}</td>"
        f"<td>{html.escape(parameter.get('description', ''))}</td></tr>"
        for parameter in operation.get("parameters", [])
    )
    body = operation.get("requestBody")
    return (
        f'<details><summary><b class="method">{method.upper()}</b> <code>{html.escape(path)}</code>'
        f' <span class="scope">{html.escape(access)}</span></summary>'
        f"<p>{html.escape(str(operation.get('description') or operation.get('summary', '')))}</p>"
        + (f"<table>{parameters}</table>" if parameters else "")
        + (f"<p>Body</p><pre>{_pretty(body['content'])}</pre>" if body else "")
        + f"<p>Answers: {', '.join(operation['responses'])}</p></details>"
    )


def _pretty(value: object) -> str:
    return html.escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
