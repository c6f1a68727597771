"""The AsyncAPI 3 document, made from the types of the messages and the registry of channels."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agio.platform.channels import ChannelClass, ChannelKind, DocumentedKind
from agio.streaming.encoding import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from agio.streaming.errors import CloseCode
from agio.streaming.messages import Authenticate, Ping, Resync, Subscribe, Unsubscribe
from agio.streaming.server_messages import (
    KINDS,
    BookPush,
    Close,
    Message,
    Push,
    Renewed,
    ResyncAnswer,
    SimpleTrade,
    Skipped,
    Snapshot,
    SubscribeAnswer,
    UnsubscribeAnswer,
    Welcome,
)
from agio.streaming.tiers import TIERS

Document = dict[str, Any]

_OPERATIONS: dict[type[msgspec.Struct], tuple[type[Message], ...]] = {
    Subscribe: (SubscribeAnswer,),
    Unsubscribe: (UnsubscribeAnswer,),
    Resync: (ResyncAnswer,),
    Authenticate: (Welcome, Renewed),
    Ping: (),
}
"""What a client may say, with the answers that name it by its id."""

_MESSAGES_OF: dict[ChannelClass, tuple[type[Message], ...]] = {
    ChannelClass.LOG: (Push,),
    ChannelClass.STATE: (Push, Skipped),
    ChannelClass.BOOK: (Snapshot, BookPush, Skipped),
}
_DESCRIPTION = (
    "Every channel of the registry goes over /stream (WebSocket, JSON or msgpack) and /stream/sse"
    " (server-sent events, JSON); each says what form its payload `d` has."
)


def build_document(kinds: Iterable[ChannelKind], version: str) -> Document:
    """The whole document as JSON-compatible values."""
    types = [*_OPERATIONS, *KINDS]
    kinds = list(kinds)
    payloads = {kind.name: kind.payload for kind in kinds if isinstance(kind, DocumentedKind)}
    forms, schemas = msgspec.json.schema_components(
        [*types, *payloads.values()], ref_template="#/components/schemas/{name}"
    )
    payload_forms = dict(zip(payloads, map(_name_discriminator, forms[len(types) :]), strict=True))
    on_socket = [kind for kind in KINDS if kind not in {SimpleTrade, Close}]
    on_events = [kind for kind in KINDS if kind is not SimpleTrade]
    channels = {
        "stream": {
            "address": "/stream",
            "messages": _references([*_OPERATIONS, *on_socket]),
            "bindings": {"ws": {"method": "GET"}},
            "x-subprotocols": [JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL],
        },
        "events": {
            "address": "/stream/sse",
            "description": "Query: ch (repeatable), start, ticket, last_event_id. Header: Last-Event-ID.",
            "messages": _references(on_events),
            "bindings": {"http": {}},
        },
        "symbol": {
            "address": "/stream/{symbol}",
            "parameters": {"symbol": {"description": "Instrument, such as BTC-USD"}},
            "messages": _references([SimpleTrade]),
            "bindings": {"ws": {"method": "GET"}},
        },
    }
    for kind in kinds:
        channels[f"channel_{kind.name}"] = _describe_channel(kind, payload_forms.get(kind.name))
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "agio streams", "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": _operations(on_socket, on_events),
        "components": {
            "schemas": schemas,
            "messages": {kind.__name__: _describe_message(kind) for kind in types},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket"},
            },
        },
        "x-close-codes": {str(code.value): code.name.lower() for code in CloseCode},
    }


def _describe_channel(kind: ChannelKind, payload: Document | None) -> Document:
    messages = _references(_MESSAGES_OF[kind.channel_class])
    if payload is not None:
        carriers = [message for message in _MESSAGES_OF[kind.channel_class] if issubclass(message, Push)]
        messages |= {carrier.__name__: _describe_push(carrier, payload) for carrier in carriers}
    described: Document = {
        "address": f"{kind.name}:{{key}}",
        "parameters": {"key": {"description": "Instrument, account or portfolio"}},
        "messages": messages,
        "x-class": kind.channel_class.value,
        "x-scope": kind.scope,
    }
    if kind.channel_class is not ChannelClass.LOG:
        described["x-tiers"] = list(TIERS)
    return described


def _operations(on_socket: list[type[Message]], on_events: list[type[Message]]) -> Document:
    """From the server's point of view, as AsyncAPI wants it."""
    operations: Document = {
        "sendOnStream": _send("stream", on_socket),
        "sendEvents": _send("events", on_events),
        "sendTrades": _send("symbol", [SimpleTrade]),
    }
    for asked, answers in _OPERATIONS.items():
        operation: Document = {
            "action": "receive",
            "channel": {"$ref": "#/channels/stream"},
            "messages": [{"$ref": f"#/channels/stream/messages/{asked.__name__}"}],
        }
        if answers:
            operation["reply"] = {
                "channel": {"$ref": "#/channels/stream"},
                "messages": [{"$ref": f"#/channels/stream/messages/{answer.__name__}"} for answer in answers],
            }
        operations[f"receive{asked.__name__}"] = operation
    return operations


def _send(channel: str, kinds: list[type[Message]]) -> Document:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{kind.__name__}"} for kind in kinds],
    }


def _describe_message(kind: type[msgspec.Struct]) -> Document:
    return {
        "name": kind.__name__,
        "summary": (kind.__doc__ or kind.__name__).strip().partition("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
    }


def _describe_push(kind: type[Push], payload: Document) -> Document:
    """A push of one channel: what all pushes are, with this payload."""
    described = _describe_message(kind)
    described["payload"] = {"allOf": [described["payload"], {"properties": {"d": payload}}]}
    return described


def _name_discriminator(form: Document) -> Document:
    """AsyncAPI names just the member that tells several forms apart, where OpenAPI has an object."""
    if "discriminator" in form:
        return {**form, "discriminator": form["discriminator"]["propertyName"]}
    return form


def _references(kinds: Iterable[type[msgspec.Struct]]) -> Document:
    return {kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in kinds}
