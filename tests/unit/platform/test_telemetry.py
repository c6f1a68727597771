import pytest

from agio.platform.telemetry import mask_secrets


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
