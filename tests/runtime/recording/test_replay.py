"""Record and replay in fake time: the same outputs, replies and events bit for bit, else what differs first."""

from __future__ import annotations

import json
import queue
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from controller.alarms.system_alarms import SystemAlarm
from controller.cli import app
from controller.control.commands import Action, Command
from controller.link.sealed_site import site_hash
from controller.plant.demo_site import write_demo_site
from controller.plant.site_loader import load_site
from controller.runtime.event_rows import journal_rows
from controller.runtime.local_plant import LocalPlant, local_plant
from controller.runtime.recording.recorded_scan import SystemConditions
from controller.runtime.recording.recorder import Recorder, header_of
from controller.runtime.recording.recording_file import RecordingError, RecordingReader, RecordingWriter
from controller.runtime.recording.replay import replay_site
from controller.runtime.retained_parts import retained_parts, take_over
from controller.runtime.scan import scan
from controller.simulator.faults.menu import FaultMenu

MW = 1e6


class Recording:
    """The demo in fake time, recorded as control records itself."""

    def __init__(self, folder: Path, retained: dict[str, bytes] | None = None) -> None:
        folder.mkdir(exist_ok=True)
        self.site, self.file = write_demo_site(folder / "site").parent, folder / "a.rec"
        loaded = load_site(self.site)
        assert loaded.plant is not None
        self.local: LocalPlant = local_plant(loaded.plant, seed=1, scan_period_s=0.25)
        tables, state, clock = self.local.tables, self.local.state, self.local.clock
        started = clock.mono_ns(), clock.utc_ns()
        take_over(tables, state, retained or {}, *started)
        header = header_of(tables, "site.yaml", site_hash(loaded.sealed()), *started)
        parts = {f"retained/{name}": part for name, part in (retained or {}).items()}
        self.recorder = Recorder(self.file, tables, state, self.local.fake.raw, header, parts)
        self.menu = FaultMenu(self.local.fake.devices)
        self._number = 0

    def run(self, seconds: float, *commands: Command, conditions: SystemConditions | None = None) -> None:
        given = list(commands)
        for _ in range(round(seconds * 4)):
            self._scan(given, conditions or {})
            given = []

    def command(self, action: Action, value: float | str | None = None, target: str = "Plant") -> Command:
        self._number += 1
        now_ns = self.local.clock.mono_ns()
        return Command(f"c{self._number}", "test", "somebody", "operator", action, target, value, now_ns)

    def _scan(self, commands: list[Command], conditions: SystemConditions) -> None:
        local = self.local
        local.clock.advance(0.25)
        now_ns, utc_ns = local.clock.mono_ns(), local.clock.utc_ns()
        local.fake.latest(now_ns)
        self.recorder.inputs(now_ns, commands, conditions)
        for alarm, active in conditions.items():
            local.state.conditions.hold(alarm, active, now_ns)
        result = scan(local.tables, local.state, commands, now_ns)
        self.recorder.asked(result)
        local.fake.write(local.state.outputs, result.withhold_heartbeat)  # before the report, as in the process
        self.recorder.outcome(result, journal_rows(result, local.plant, local.tables.alarms, now_ns, utc_ns), utc_ns)
        self.menu.advance()


def _eventful(recording: Recording) -> None:
    """Set-points, refusals, a trip, a lost rack, a lock-out, a fast stop, resets and a condition of the system."""
    recording.run(20)
    recording.run(4, recording.command(Action.SET_ACTIVE_POWER, 0.8 * MW))
    recording.run(1, recording.command(Action.SET_ACTIVE_POWER, float("nan")))
    recording.menu.execute("cell B01-R03 17 3.75V")
    recording.menu.execute("silent B02-R05")
    recording.run(8, recording.command(Action.LOCK_OUT, "service", "Plant.Block02.Rack01"))
    recording.menu.execute("clear")
    lost = np.zeros(len(recording.local.plant.links), np.bool_)
    lost[0] = True
    recording.run(2, recording.command(Action.FAST_STOP), conditions={SystemAlarm.LINK_LOST: lost})
    recording.run(2, recording.command(Action.RESET_TRIPS), conditions={SystemAlarm.LINK_LOST: ~lost})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    recording = Recording(tmp_path_factory.mktemp("recorded"))
    _eventful(recording)
    recording.recorder.close()
    return recording


def test_a_replay_comes_to_the_same_bit_for_bit(recorded: Recording) -> None:
    result = replay_site(recorded.site, recorded.file)

    assert result.first_difference is None
    assert (result.same_site, result.closed_cleanly, result.lost_scans) == (True, True, 0)
    assert result.scans == recorded.local.state.scan_count
    assert result.commands == 5
    assert result.trips >= 1
    assert {"command_refused", "fast_stop", "first_out", "lock_out_changed"} <= {e["kind"] for e in result.events}


def test_a_damaged_recording_is_told_and_is_no_success(recorded: Recording, tmp_path: Path) -> None:
    """It was said to be as recorded, whatever of it could not be read."""
    data = bytearray(recorded.file.read_bytes())
    place = 3 * len(data) // 4
    data[place : place + 8] = bytes(byte ^ 0xFF for byte in data[place : place + 8])
    (tmp_path / "damaged.bess").write_bytes(data)
    words = ["replay", str(recorded.site), str(tmp_path / "damaged.bess")]
    answer = CliRunner().invoke(app, words)
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)

    assert answer.exit_code == 1
    assert "the file is damaged behind" in answer.stdout
    assert "of what can be read, every output" in answer.stdout
    assert (told["is_damaged"], told["different_scans"]) == (True, 0)
    assert 0 < told["scans"] < recorded.local.state.scan_count


def test_series_and_events_are_written_as_rehearse_writes_them(recorded: Recording, tmp_path: Path) -> None:
    result = replay_site(recorded.site, recorded.file, tmp_path / "x.csv")
    head, *rows = (tmp_path / "x.csv").read_text().splitlines()

    assert head.startswith("time_s,Plant.")
    assert len(rows) == result.scans
    assert len((tmp_path / "x.events.jsonl").read_text().splitlines()) == len(result.events)


def test_a_changed_limit_shows_where_it_changes_the_outcome(recorded: Recording, tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site").parent
    rows = site / "site.yaml"
    rows.write_text(rows.read_text().replace("ramp: 2.4 MW/s, reactive", "ramp: 0.24 MW/s, reactive"))
    result = replay_site(site, recorded.file)

    assert not result.same_site
    assert result.first_difference is not None
    assert result.first_difference.quantity.startswith("pcs.active_power_setpoint.value of PCS0")
    assert result.first_difference.scan > 80  # nothing differs before the first set-point


def test_another_plant_is_refused_with_what_does_not_fit(recorded: Recording, tmp_path: Path) -> None:
    site = write_demo_site(tmp_path / "site", 48).parent

    with pytest.raises(RecordingError, match="with other groups"):
        replay_site(site, recorded.file)


def test_retained_state_is_part_of_the_recording(tmp_path: Path) -> None:
    before = Recording(tmp_path / "before")
    before.run(20)
    before.run(2, before.command(Action.FAST_STOP), before.command(Action.SET_EXPORT_LIMIT, 1 * MW))
    before.recorder.close()
    parts = retained_parts(before.local.tables, before.local.state, before.local.clock.mono_ns())
    parts["saved_utc_ns"] = str(before.local.clock.utc_ns()).encode()
    after = Recording(tmp_path / "after", parts)
    after.run(10)
    after.recorder.close()

    assert after.local.state.image["plant.export_limit"].value[0] == 1 * MW
    assert replay_site(after.site, after.file).first_difference is None


def test_scans_that_the_writer_could_not_take_are_counted_and_the_rest_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path)
    recording.run(20)
    with monkeypatch.context() as stalled:
        stalled.setattr(recording.recorder._queue, "put_nowait", _full)
        recording.run(1)
    recording.run(5)
    recording.recorder.close()
    result = replay_site(recording.site, recording.file)

    assert recording.recorder.lost == 4
    assert result.lost_scans == 4
    assert result.scans == recording.local.state.scan_count - 4


def _full(_item: object) -> None:
    raise queue.Full


def test_a_disk_that_takes_nothing_costs_scans_of_the_recording_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path)

    def fail(*_args: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(RecordingWriter, "write", fail)
    recording.run(5)
    recording.recorder.close()

    assert recording.recorder.lost == recording.local.state.scan_count == 20
    assert list(RecordingReader.open(recording.file).records()) == []
