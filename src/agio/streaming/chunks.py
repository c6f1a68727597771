"""Chunks: consecutive pushes of one channel, encoded at most once per encoding for all subscribers."""

from collections.abc import Iterator, Sequence

from agio.platform.channels import Push
from agio.streaming.encoding import Encoding, Form, encode_pushes, frame_bodies, pack_body

PUSH_OVERHEAD_BYTES = 64
"""About what the envelope of a push adds to its payload."""


class Chunk:
    """Some consecutive pushes of one channel number. Immutable; the encoded forms are made on first use."""

    __slots__ = (
        "_bodies",
        "_frames",
        "count",
        "first",
        "is_shared",
        "label",
        "last",
        "number",
        "previous",
        "pushes",
    )

    def __init__(self, number: int, label: bytes, pushes: Sequence[Push], *, is_shared: bool = False) -> None:
        self.number = number
        self.label = label
        self.pushes = pushes
        self.count = len(pushes)
        self.first = pushes[0].q
        self.last = pushes[-1].q
        self.previous = pushes[0].p
        """BOOK: the sequence that the first delta follows."""
        self.is_shared = is_shared
        """All subscribers get this very chunk. Only then is compressing it worth the time."""
        self._bodies: dict[Encoding, bytes] = {}
        self._frames: dict[Form, bytes] = {}

    def body(self, encoding: Encoding) -> bytes:
        if encoding is Encoding.SSE:
            encoding = Encoding.JSON
        found = self._bodies.get(encoding)
        if found is None:
            found = self._bodies[encoding] = encode_pushes(encoding, self.number, self.label, self.pushes)
        return found

    def framed(self, form: Form) -> bytes:
        """A whole frame with just these pushes; compressed where the form asks for it and it is worth it."""
        found = self._frames.get(form)
        if found is None:
            body = self.body(form.encoding)
            if form.is_packed and self.is_shared:
                found = pack_body(form.encoding, body, self.count)
            found = found or frame_bodies(form.encoding, (body,), self.count)
            self._frames[form] = found
        return found

    def after(self, sequence: int) -> "Chunk | None":
        """The part of a LOG chunk behind a sequence; itself when all of it is."""
        if sequence < self.first:
            return self
        if sequence >= self.last:
            return None
        return Chunk(self.number, self.label, self.pushes[sequence - self.first + 1 :])


def frame_chunks(form: Form, chunks: Sequence[Chunk]) -> bytes:
    """One frame with the pushes of several chunks; shared bytes when there is just one."""
    if len(chunks) == 1:
        return chunks[0].framed(form)
    encoding = form.encoding
    if form.is_packed:
        # One frame each: joining them first would mean compressing for this connection alone.
        return b"".join([chunk.framed(form) for chunk in chunks])
    bodies = [chunk.body(encoding) for chunk in chunks]
    return frame_bodies(encoding, bodies, sum(chunk.count for chunk in chunks))


def split(
    number: int, label: bytes, pushes: Sequence[Push], chunk_bytes: int, *, is_shared: bool = False
) -> Iterator[Chunk]:
    """Cut pushes into chunks of about `chunk_bytes`, one push at least."""
    start = size = 0
    for index, push in enumerate(pushes):
        size += len(push.d) + PUSH_OVERHEAD_BYTES
        if size >= chunk_bytes:
            yield Chunk(number, label, pushes[start : index + 1], is_shared=is_shared)
            start, size = index + 1, 0
    if start < len(pushes):
        yield Chunk(number, label, pushes[start:] if start else pushes, is_shared=is_shared)
