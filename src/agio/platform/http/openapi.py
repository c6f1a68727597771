"""The OpenAPI 3.1 document: the framework's, made true about strict bodies, problems and credentials."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar._openapi.plugin import OpenAPIPlugin
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin
from litestar._openapi.schema_generation.schema import SchemaCreator
from litestar.config.app import AppConfig
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Schema
from litestar.types import Method
from litestar.typing import FieldDefinition
from typing_extensions import override

from agio.kernel.page import MAX_LIMIT
from agio.platform.http.inventory import Operation, list_operations
from agio.platform.http.problems import PROBLEM_MEDIA_TYPE

Document = dict[str, Any]

_PAGE_NAME: Final = re.compile(rb"\bPage_[\w.]+\.(\w+?)_\b")
"""How the framework names `Page[Trade]`; the module it is in is nobody's business."""
_METHODS: Final = ("get", "put", "post", "delete", "patch")
_PROBLEM_SCHEMA: Final[Document] = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457 problem; further members depend on the code.",
    "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "/problems/{code}"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened here, and what to do next"},
        "instance": {"type": "string", "description": "The path that was asked for"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
_IF_NONE_MATCH: Final[Document] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the answer you have: 304 while it still holds",
    "schema": {"type": "string"},
}
_PROBLEM_STATUSES: Final[Mapping[str, str]] = {
    "400": "The request or its body is malformed",
    "401": "No valid credential",
    "403": "The credential may not do this",
    "404": "No such object, or not one of yours",
    "409": "The object's present state does not allow this",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "422": "A value is not acceptable",
    "429": "Too many requests or failed attempts",
    "500": "A fault on our side",
    "503": "A part that is needed does not answer",
}


class StrictStructSchema(StructSchemaPlugin):
    """Says `additionalProperties: false` for structs that refuse unknown members."""

    @override
    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        schema = super().to_openapi_schema(field_definition, schema_creator)
        config = getattr(field_definition.type_, "__struct_config__", None)
        if config is not None and config.forbid_unknown_fields:
            schema.additional_properties = False
        return schema


def operation_id(handler: HTTPRouteHandler, method: Method, _path: object) -> str:
    """The handler's own name, unless one handler serves several methods."""
    return (
        handler.handler_name if len(handler.http_methods) == 1 else f"{handler.handler_name}_{method.lower()}"
    )


def build_document(app: Litestar, *, title: str, version: str, description: str) -> Document:
    """Describe an application; call it once, after every route is registered."""
    config = OpenAPIConfig(
        title=title,
        version=version,
        description=description,
        operation_id_creator=operation_id,
        use_handler_docstrings=True,
    )
    # The framework would add its own documentation pages; handing it a spare configuration leaves them out.
    app.plugins.get(OpenAPIPlugin).on_app_init(AppConfig(openapi_config=config))
    text = msgspec.json.encode(msgspec.to_builtins(app.openapi_schema.to_schema()))
    document = msgspec.json.decode(_PAGE_NAME.sub(rb"\1Page", text), type=Document)
    for schema in document.get("components", {}).get("schemas", {}).values():
        _mend_tuples(schema)
    _complete(document, list_operations(app))
    return document


def _mend_tuples(schema: object) -> None:
    """A pair of texts is an array of two texts: says how long it is, in words that all generators know."""
    if isinstance(schema, dict):
        places = schema.get("prefixItems")
        if places and all(place == places[0] for place in places):
            del schema["prefixItems"]
            schema.update(items=places[0], minItems=len(places), maxItems=len(places))
        for part in schema.values():
            _mend_tuples(part)
    elif isinstance(schema, list):
        for part in schema:
            _mend_tuples(part)


def _complete(document: Document, operations: list[Operation]) -> None:
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
    components["responses"] = {status: _problem_response(text) for status, text in _PROBLEM_STATUSES.items()}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "bearerFormat": "agio_{sandbox|live}_..."}
    }
    known = {(operation.path, operation.method.lower()): operation for operation in operations}
    for path, method, described in walk_operations(document):
        operation = known.get((path, method))
        if operation is not None:
            _complete_operation(described, operation)


def walk_operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """(path, method, operation) of a document."""
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


def _problem_response(description: str) -> Document:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}}}


def _complete_parameters(described: Document) -> None:
    """What holds for parameters of one name everywhere."""
    parameters = described.setdefault("parameters", [])
    for parameter in parameters:
        if (parameter["in"], parameter["name"]) == ("query", "limit"):
            parameter["schema"] = {"minimum": 1, "maximum": MAX_LIMIT} | parameter["schema"]
    if "304" in described["responses"]:
        parameters.append(_IF_NONE_MATCH)
        described["responses"]["200"].setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}


def _complete_operation(described: Document, operation: Operation) -> None:
    responses = {status: answer for status, answer in described["responses"].items() if status < "400"}
    for status, answer in responses.items():
        if answer["description"] == HTTPStatus(int(status)).description:
            answer["description"] = HTTPStatus(int(status)).phrase
    for media_type in operation.other_media_types:
        responses["200"]["content"][media_type] = {"schema": {"type": "string"}}
    statuses = ["400", "404", "429", "500", "503"]
    if not operation.is_public:
        statuses += ["401", "403"]
        described["security"] = [{"key": []}, {}] if operation.is_open_to_loopback else [{"key": []}]
        described["x-agio-scope"] = operation.scope
    if "requestBody" in described:
        statuses += ["413", "415"]
        body: Document = described["requestBody"]
        kinds = next(iter(body["content"].values()))["schema"].get("oneOf", [])
        body["required"] = {"type": "null"} not in kinds
    if operation.method != "GET":
        statuses += ["409"]
    statuses += ["422"]
    for status in sorted(statuses):
        responses[status] = {"$ref": f"#/components/responses/{status}"}
    described["responses"] = responses
    _complete_parameters(described)
    text = described.pop("summary", "")
    described["summary"] = operation.summary or text
