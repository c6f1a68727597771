"""The API inventory as a page: who may use which operation and which channel."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from agio.identity.api import ANY_KEY
from agio.platform.channels import ChannelClass
from agio.platform.http import Operation

_HEAD: Final = """# Authorization

Generated from the application's routes and channels; `tests/security` compares it. A caller sends
`Authorization: Bearer agio_...`; a key belongs to one environment of one organisation and holds scopes.

| caller | answer |
|---|---|
| no credential | `401 unauthorized` |
| mistyped, unknown, expired or revoked key | `401 unauthorized`, `key_expired` or `key_revoked` |
| key used outside of its networks | `403 address_not_allowed` |
| key without the scope | `403 insufficient_scope`, the scope named |
| key of another organisation or environment | `404 not_found`, as if the object did not exist |
| too many failed attempts | `429 too_many_attempts` with `Retry-After` |

Keys match `\\bagio_(?:sandbox|live)_[0-9A-Za-z]{49}\\b`; the last six characters are a checksum, the CRC-32
of everything before them in base62, so that a secret scanner can tell a key from a look-alike.
"""


class OfferedChannel(Protocol):
    """The part of a channel kind that the page shows."""

    @property
    def name(self) -> str: ...

    @property
    def channel_class(self) -> ChannelClass: ...

    @property
    def scope(self) -> str: ...


def render_authorization(
    operations: Iterable[Operation], channels: Sequence[OfferedChannel], scopes: Mapping[str, str]
) -> str:
    """The page in Markdown."""
    rows = [
        (f"`{operation.method}`", f"`{operation.path}`", _access(operation), operation.summary)
        for operation in operations
    ]
    kinds = sorted(channels, key=lambda kind: kind.name)
    sections = [
        _HEAD,
        "## Scopes\n",
        _table(("scope", "opens"), [(f"`{scope}`", text) for scope, text in scopes.items()]),
        "## Operations\n",
        _table(("method", "path", "needs", "what"), rows),
        "## Channels\n",
        _table(
            ("channel", "class", "needs"),
            [(f"`{kind.name}:`", kind.channel_class.value, f"`{kind.scope}`") for kind in kinds],
        ),
    ]
    return "\n".join(sections)


def _access(operation: Operation) -> str:
    if operation.scope is None:
        return "public"
    scope = "any key" if operation.scope == ANY_KEY else f"`{operation.scope}`"
    return f"{scope}, or a call from this machine" if operation.is_open_to_loopback else scope


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
