from pathlib import Path

import pytest
import zstandard

from agio.marketdata.decoders.recording import BadRecording, read_recording

HEADER = '{"t":"header","exchange":"KRAKEN","recorded":1.5}\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "session.jsonl.zst"
    path.write_bytes(zstandard.compress(text.encode()))
    return path


def recv(connection: str, ts: str, data: str) -> str:
    return f'{{"t":"recv","conn":"{connection}","ts":{ts},"data":"{data}"}}\n'


class TestReadRecording:
    def test_connections_are_merged_in_time_and_each_keeps_its_order(self, tmp_path: Path) -> None:
        lines = [
            recv("a", "1.0", "a1"),
            recv("a", "3.0", "a2"),
            recv("a", "2.9", "a3"),  # the recorder's clock was set back
            recv("b", "2.0", "b1"),
            recv("b", "4.0", "b2"),
        ]
        recording = read_recording(write(tmp_path, HEADER + "".join(lines)))
        assert [event.data for event in recording.events] == ["a1", "b1", "a2", "a3", "b2"]
        assert recording.venue == "KRAKEN"

    def test_times_are_exact_nanoseconds(self, tmp_path: Path) -> None:
        recording = read_recording(write(tmp_path, HEADER + recv("a", "1618678142.5928551", "x")))
        assert recording.events[0].at_ns == 1_618_678_142_592_855_100

    @pytest.mark.parametrize(
        "text",
        [
            "",
            recv("a", "1.0", "no header"),
            HEADER + "not json\n",
            HEADER + '{"t":"other","ts":1}\n',
            HEADER + recv("a", "NaN", "x"),
            HEADER + recv("a", '"yesterday"', "x"),
            HEADER + recv("a", "1e400", "x"),
            HEADER + recv("a", '"NaN"', "x"),
            HEADER + recv("a", "-1", "x"),
        ],
    )
    def test_a_file_that_is_no_recording_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(BadRecording):
            read_recording(write(tmp_path, text))

    def test_a_file_that_breaks_off_or_is_not_compressed_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path, HEADER + recv("a", "1.0", "x" * 10_000))
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(BadRecording):
            read_recording(path)
        path.write_text(HEADER)
        with pytest.raises(BadRecording):
            read_recording(path)
