"""Cross-checks of an expanded plant: run all, keep of each check one message a place."""

from __future__ import annotations

from dataclasses import replace

from controller.plant.checks.batteries import BATTERY_CHECKS
from controller.plant.checks.blocks import BLOCK_CHECKS
from controller.plant.checks.bms import BMS_CHECKS
from controller.plant.checks.causes import Check, one_a_place, without_consequences
from controller.plant.checks.chains import CHAIN_CHECKS
from controller.plant.checks.context import CheckContext
from controller.plant.checks.converters import CONVERTER_CHECKS
from controller.plant.checks.effects import EFFECT_CHECKS
from controller.plant.checks.feeding import FEEDING_CHECKS
from controller.plant.checks.links import LINK_CHECKS
from controller.plant.checks.meters import METER_CHECKS
from controller.plant.checks.missing_values import MISSING_CHECKS
from controller.plant.checks.ownership import OWNERSHIP_CHECKS
from controller.plant.checks.pace import PACE_CHECKS
from controller.plant.checks.protection import PROTECTION_CHECKS
from controller.plant.checks.ratings import RATING_CHECKS
from controller.plant.checks.readings import GRID_READING_CHECKS, READING_CHECKS
from controller.plant.checks.resolution import RESOLUTION_CHECKS
from controller.plant.checks.schedule import SCHEDULE_CHECKS
from controller.plant.checks.settings import SETTING_CHECKS
from controller.plant.checks.silence import SILENCE_CHECKS
from controller.plant.checks.trips import TRIP_CHECKS
from controller.plant.messages import Message

CHECKS: tuple[Check, ...] = (
    *BATTERY_CHECKS,
    *RATING_CHECKS,
    *BLOCK_CHECKS,
    *CONVERTER_CHECKS,
    *PROTECTION_CHECKS,
    *FEEDING_CHECKS,
    *TRIP_CHECKS,
    *EFFECT_CHECKS,
    *CHAIN_CHECKS,
    *BMS_CHECKS,
    *OWNERSHIP_CHECKS,
    *READING_CHECKS,
    *GRID_READING_CHECKS,
    *RESOLUTION_CHECKS,
    *MISSING_CHECKS,
    *PACE_CHECKS,
    *SILENCE_CHECKS,
    *LINK_CHECKS,
    *METER_CHECKS,
    *SETTING_CHECKS,
    *SCHEDULE_CHECKS,
)


def check_plant(context: CheckContext) -> list[Message]:
    """Return what every check says; a group of hundreds that is wrong in one place is reported once.

    Of a mistake that many checks stumble over only the cause is shown.
    """
    found = [(check, _mended(message)) for check in CHECKS for message in one_a_place(check(context))]
    return without_consequences(context, found)


def _mended(message: Message) -> Message:
    """A row of a preset is changed in the site's own file, never in the library."""
    if message.hint or not message.place.file.startswith("library/protections/"):
        return message
    return replace(message, hint="state this row's own numbers in the site's protection file")
