"""An API process of the platform without TLS: `agio api` with everything but the certificate.

A proxy that ends TLS would stand before it; the product itself offers no such port. It loads its code at once
and takes its environment as one line of JSON from standard input: it can be started before the platform.
"""

import json
import os
import sys

import uvicorn

from agio.app import api
from agio.app.cli.processes import run
from agio.app.wiring import Api
from agio.platform.config import Settings

_configure = api._configure  # noqa: SLF001


def _configure_without_tls(settings: Settings, built: Api) -> uvicorn.Config:
    config = _configure(settings, built)
    config.ssl_context_factory = None
    return config


if __name__ == "__main__":
    setattr(api, "_configure", _configure_without_tls)  # noqa: B010 - a function of a module
    if line := sys.stdin.readline():
        os.environ.clear()
        os.environ.update(json.loads(line))
        run("api")
