"""The sans-I/O side of a connection: handshake, strict inbound frames, and which extensions are agreed to."""

import logging
from collections.abc import Sequence

from typing_extensions import override
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from agio.streaming.handshake import choose_subprotocol
from agio.streaming.packing import WINDOW_BITS

_quiet = logging.getLogger("agio.streaming.websockets")
_quiet.setLevel(logging.ERROR)

_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
"""No context outlives a message: what the server packs is the same for everybody, and nothing is kept."""


class FrameParser(ServerProtocol):
    """Judges what a peer sends; a message's limit holds for what it unpacks to."""

    def __init__(self, max_size: int, *, may_compress: bool) -> None:
        super().__init__(
            select_subprotocol=_select_subprotocol,
            extensions=[_DEFLATE] if may_compress else None,
            max_size=max_size,
            logger=_quiet,
        )
        self.path = ""

    @property
    def takes_packed(self) -> bool:
        """Whether the peer unpacks frames that were made once for everybody.

        One that wants a smaller window gets plain frames, which the extension always allows.
        """
        return any(
            isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == WINDOW_BITS
            for extension in self.extensions
        )

    @override
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            # RFC 6455 5.5.1: a close frame ends the connection also in the middle of a message.
            self.current_size = None
        super().recv_frame(frame)


def _select_subprotocol(frames: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    if not isinstance(frames, FrameParser):
        raise NegotiationError("not a connection of ours")
    chosen = choose_subprotocol(frames.path, offered)
    return None if chosen is None else Subprotocol(chosen)
