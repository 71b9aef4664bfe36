from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from controller.control.commands import Action, Refusal, Reply
from controller.image.image import Image
from controller.image.layout import Field, Layout
from controller.image.quality import Quality
from controller.image.quantities import Section
from controller.link.command_queue import CommandQueue
from controller.link.command_socket import CommandServer
from controller.link.event_ring import EVENT
from controller.link.linked_plant import EXIT_SITE_CHANGED, LinkedPlant, SiteChangedError
from controller.link.plant_view import PlantView, RunState, Snapshot
from controller.link.run_directory import RunDirectory
from controller.link.snapshot_file import SnapshotFile

SITE_HASH = b"s" * 32


@pytest.fixture
def run(run_folder) -> RunDirectory:
    return RunDirectory(run_folder)


@pytest.fixture
def plant(run, layout, clock) -> LinkedPlant:
    return LinkedPlant(run, layout, SITE_HASH, clock)


@pytest.fixture
def image(layout) -> Image:
    image = Image(layout)
    image["rack.current"].value[:] = 12.5
    image["rack.current"].quality[:] = Quality.GOOD
    image["cell.voltage"].value[:] = 3.3
    return image


def events(count: int) -> np.ndarray:
    return np.zeros(count, EVENT)


def test_it_is_a_plant_view(plant) -> None:
    view: PlantView = plant
    assert view.snapshot().is_none


def test_face_that_starts_first_waits(plant, run, form, image, clock) -> None:
    waiting = plant.snapshot()
    assert waiting.is_none
    assert waiting.is_stale(clock.mono_ns())
    assert set(waiting.image["rack.current"].quality) == {Quality.NEVER_READ}
    assert len(plant.events(0).records) == 0
    file = SnapshotFile(run.snapshot, form, first_event=1)
    assert plant.snapshot().is_none
    file.publish(image, clock.mono_ns())
    assert plant.snapshot().sequence == 1


def test_snapshot_is_a_copy_that_nobody_can_change(plant, run, form, image, clock) -> None:
    file = SnapshotFile(run.snapshot, form, first_event=1)
    file.set_run_state(RunState.RUNNING)
    file.publish(image, clock.mono_ns())
    first = plant.snapshot()
    assert (first.run_state, first.epoch, first.site_hash) == (RunState.RUNNING, file.epoch, SITE_HASH)
    assert plant.snapshot() is first
    image["rack.current"].value[:] = -1.0
    image["cell.voltage"].value[:] = 4.0
    file.publish(image, clock.mono_ns())
    second = plant.snapshot()
    assert set(first.image["rack.current"].value) == {12.5}
    assert set(second.image["rack.current"].value) == {-1.0}
    assert second.image["cell.voltage"].value[3, 7] == 4.0
    for snapshot in (first, second, Snapshot.none(image.layout)):
        for name in ("rack.current", "cell.voltage"):
            with pytest.raises(ValueError, match="read-only"):
                snapshot.image[name].value[:] = 0.0


def test_unchanged_cells_are_not_copied_again(plant, run, form, image, clock) -> None:
    file = SnapshotFile(run.snapshot, form, first_event=1)
    file.publish(image, clock.mono_ns())
    first = plant.snapshot()
    file.publish(image, clock.mono_ns(), cells_changed=False)
    second = plant.snapshot()
    assert second.sequence == 2
    assert second.cells_generation == first.cells_generation
    assert second.image.buffer(Section.CELLS) is first.image.buffer(Section.CELLS)


def test_run_state_is_seen_without_a_publish(plant, run, form, image, clock) -> None:
    file = SnapshotFile(run.snapshot, form, first_event=1)
    file.publish(image, clock.mono_ns())
    assert plant.snapshot().run_state is RunState.STARTING
    file.set_run_state(RunState.STOPPED)
    assert plant.snapshot().run_state is RunState.STOPPED


def test_age_tells_that_control_is_silent(plant, run, form, image, clock) -> None:
    file = SnapshotFile(run.snapshot, form, first_event=1)
    file.publish(image, clock.mono_ns())
    clock.advance(1.0)
    assert plant.snapshot().age_ns(clock.mono_ns()) == 1_000_000_000
    assert not plant.snapshot().is_stale(clock.mono_ns())
    clock.advance(0.001)
    assert plant.snapshot().is_stale(clock.mono_ns())
    file.publish(image, clock.mono_ns())
    assert not plant.snapshot().is_stale(clock.mono_ns())


def test_stamp_from_the_future_is_stale(plant, run, form, image, clock) -> None:
    SnapshotFile(run.snapshot, form, first_event=1).publish(image, clock.mono_ns() + 2_000_000_000)
    assert plant.snapshot().is_stale(clock.mono_ns())


def test_restarted_control_is_found_and_the_old_values_age_meanwhile(plant, run, form, image, clock) -> None:
    old = SnapshotFile(run.snapshot, form, first_event=1)
    for _ in range(5):
        old.publish(image, clock.mono_ns())
    old.events.append(events(3))
    assert plant.snapshot().sequence == 5
    cursor = plant.events(0).next_number
    clock.advance(3.0)
    new = SnapshotFile(run.snapshot, form, first_event=1000)
    assert plant.snapshot().epoch == old.epoch
    assert plant.snapshot().is_stale(clock.mono_ns())
    new.events.append(events(2))
    batch = plant.events(cursor)
    assert batch.restarted
    assert list(batch.records["number"]) == [1000, 1001]
    new.publish(image, clock.mono_ns())
    assert (plant.snapshot().epoch, plant.snapshot().sequence) == (new.epoch, 1)
    assert not plant.snapshot().is_stale(clock.mono_ns())


def test_restart_is_found_in_one_call(plant, run, form, image, clock) -> None:
    SnapshotFile(run.snapshot, form, first_event=1).publish(image, clock.mono_ns())
    plant.snapshot()
    new = SnapshotFile(run.snapshot, form, first_event=1)
    new.publish(image, clock.mono_ns())
    assert plant.snapshot().epoch == new.epoch


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["site", "layout"])
def test_changed_site_or_layout_ends_the_face(plant, run, form, layout, image, clock, when, what) -> None:
    if when == "after":
        SnapshotFile(run.snapshot, form, first_event=1).publish(image, clock.mono_ns())
        plant.snapshot()
    other_layout = Layout([*layout.fields, Field("x", "u1", (1,), "", Section.RACKS)])
    other = replace(form, site_hash=b"t" * 32) if what == "site" else replace(form, layout_hash=other_layout.hash)
    SnapshotFile(run.snapshot, other, first_event=1)
    for call in (plant.snapshot, lambda: plant.events(0)):
        with pytest.raises(SiteChangedError):
            call()
    assert EXIT_SITE_CHANGED == 75


def test_junk_in_the_files_place_reads_as_waiting(plant, run, form, image, clock) -> None:
    run.snapshot.write_bytes(b"junk")
    assert plant.snapshot().is_none
    SnapshotFile(run.snapshot, form, first_event=1).publish(image, clock.mono_ns())
    assert plant.snapshot().sequence == 1


async def test_commands_are_refused_while_control_is_silent_but_a_stop_is_tried(
    plant, run, form, image, clock, command
) -> None:
    file = SnapshotFile(run.snapshot, form, first_event=1)
    server = CommandServer(CommandQueue(lambda _: True), clock)
    await server.start(run.command_socket)

    async def scan() -> None:
        while True:
            taken = server.take()
            server.answer(Reply(c.id, accepted=True, refusal=Refusal.NONE, text="", sequence=9) for c in taken)
            await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as tasks:
        scans = tasks.create_task(scan())
        for publishes in (False, True):
            if publishes:
                file.publish(image, clock.mono_ns())
            for action in (Action.SET_ACTIVE_POWER, Action.START, Action.STOP):
                reply = await plant.submit(command(action))
                assert reply.accepted == (publishes or action is Action.STOP)
                assert reply.refusal == (Refusal.NONE if reply.accepted else Refusal.NO_COMMUNICATION)
        clock.advance(1.5)
        assert (await plant.submit(command())).refusal is Refusal.NO_COMMUNICATION
        scans.cancel()
    await server.stop()
    assert (await plant.submit(command(Action.STOP))).refusal is Refusal.NO_COMMUNICATION
