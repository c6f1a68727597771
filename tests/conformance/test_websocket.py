"""RFC 6455 by Autobahn's cases (kosoku runs them): an echo behind our protocol class."""

import asyncio
import json
from pathlib import Path

import pytest

from agio.streaming.encoding import BINARY, TEXT, frame
from agio.streaming.handshake import UpgradeRequest
from agio.streaming.ports import Wire
from agio.streaming.protocol import make_protocol
from agio.streaming.settings import StreamingSettings
