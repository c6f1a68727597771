import sys

import pytest
import structlog

from agio.platform.telemetry import LogOutput, mask_secrets


class TestMaskSecrets:
    @pytest.mark.parametrize("name", ["password", "client_secret", "Authorization", "api_key", "ticket"])
    def test_secret_names_are_masked(self, name: str) -> None:
        assert mask_secrets(None, "info", {name: "hunter2"})[name] == "***"

    def test_secret_shapes_are_masked_wherever_they_stand(self) -> None:
        event = mask_secrets(
            None,
            "info",
            {
                "event": "refused agio_sandbox_abcDEF123_x9",
                "url": "postgresql://agio_app:hunter2@127.0.0.1/agio",
            },
        )
        assert "abcDEF123" not in str(event)
        assert "hunter2" not in str(event)


class FullDisk:
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_costs_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", FullDisk())
    structlog.WriteLogger(LogOutput()).warning("nobody hears this")  # type: ignore[arg-type]
