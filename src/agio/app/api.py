"""The API process: REST, streams and the dashboard on one TLS 1.3 port."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
import uvicorn
import uvloop

from agio.app.ending import end_for_sure
from agio.app.listening import own_name, own_socket, shared_sockets
from agio.app.node import open_node
from agio.app.readiness import announce_ready
from agio.app.wiring import Api, build_api
from agio.platform.config import Settings
from agio.platform.http.server import BoundedHttpProtocol
from agio.platform.telemetry import configure_logging
from agio.platform.tls import ensure_local_certificates, ssl_context
from agio.streaming.protocol import make_protocol

CONNECTIONS = 10
DRAIN_SECONDS = 3.0
KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """uvicorn that lets stream clients move elsewhere before it closes their sockets."""

    def __init__(self, config: uvicorn.Config, api: Api, data_dir: Path) -> None:
        super().__init__(config)
        self._api = api
        self._data_dir = data_dir

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if sockets is not None:
            await self._listen_to_supervisor()
        announce_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if sockets is not None:
            # New connections go to the other processes from now on.
            for server in self.servers:
                server.close()
        await self._api.gateway.drain(DRAIN_SECONDS)
        await super().shutdown(sockets)

    async def _listen_to_supervisor(self) -> None:
        """Plain HTTP on a socket of this process' own: which process answers on the port is chance."""

        def make() -> asyncio.Protocol:
            return BoundedHttpProtocol(self.config, self.server_state, self.lifespan.state)

        listener = own_socket(self._data_dir, own_name())
        self.servers.append(await asyncio.get_running_loop().create_unix_server(make, sock=listener))


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    configure_logging(own_name() or "api", settings.log_level)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    async with open_node(settings, "api", settings.database_url, CONNECTIONS) as node:
        api = build_api(node)
        async with _running(api):
            sockets = shared_sockets(settings.host, settings.port) if own_name() else None
            await Server(_configure(settings, api), api, settings.data_dir).serve(sockets)


@asynccontextmanager
async def _running(api: Api) -> AsyncIterator[None]:
    """Everything that works beside the requests."""
    for prepare in api.prepare:
        await prepare()
    tasks = [asyncio.ensure_future(work()) for work in api.background]
    for task in tasks:
        task.add_done_callback(_end_with)
    try:
        yield
    finally:
        for finish in api.finish:
            await finish()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _end_with(task: asyncio.Future[None]) -> None:
    """A background task ends only with the process; if one dies, the process must, to be started anew."""
    if not task.cancelled():
        log.error("background_task_ended", error=repr(task.exception()))
        end_for_sure()
        signal.raise_signal(signal.SIGTERM)


def _configure(settings: Settings, api: Api) -> uvicorn.Config:
    if settings.tls_certificate is not None and settings.tls_key is not None:
        certificate, key = settings.tls_certificate, settings.tls_key
    else:
        files = ensure_local_certificates(settings.data_dir / "tls")
        certificate, key = files.certificate, files.key
    return uvicorn.Config(
        api.app,
        host=settings.host,
        port=settings.port,
        http=BoundedHttpProtocol,
        ws=make_protocol(api.gateway),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
        backlog=BACKLOG,
        ssl_context_factory=lambda _config, _default: ssl_context(certificate, key),
    )
