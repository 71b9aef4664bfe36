"""The sequences' tables: every transition, and that stops and trips win over everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.control.sequences import pcs as pcs_sequence
from controller.control.sequences import plant as plant_sequence
from controller.control.sequences import rack as rack_sequence
from controller.control.sequences.pcs import PcsInputs
from controller.control.sequences.pcs import PcsSequenceState as Pcs
from controller.control.sequences.plant import PlantInputs
from controller.control.sequences.plant import PlantState as P
from controller.control.sequences.rack import RackInputs, Wanted
from controller.control.sequences.rack import RackSequenceState as R
from controller.plant.signals import ContactorState as C
from controller.plant.signals import PcsState

PLANT = PlantInputs(
    start=False,
    stop=False,
    stopped=False,
    fast_stop=False,
    trip=False,
    any_in_service=True,
    all_known=True,
    racks_settled=True,
    any_rack_connected=True,
    pcs_settled=True,
    any_pcs_running=True,
    any_pcs_standby=False,
    all_pcs_stopped=False,
    at_zero=False,
    in_state_s=0.0,
    start_timeout_s=60.0,
    ramp_down_s=10.0,
)
PCS = PcsInputs(
    in_service=True,
    present=True,
    reported=PcsState.OFF,
    wanted=True,
    stop=False,
    armed=True,
    unarmed=False,
    ready=True,
    in_state_s=0.0,
    start_timeout_s=60.0,
)
RACK = RackInputs(
    contactor=C.CLOSED,
    wanted=Wanted.LEAVE,
    may_connect=True,
    apart=False,
    unloaded=True,
    no_current=True,
    request_failed=False,
    in_state_s=0.0,
    start_timeout_s=60.0,
)


@pytest.mark.parametrize(
    ("state", "changed", "after"),
    [
        (P.ADOPTING, {"all_known": False}, P.ADOPTING),
        (P.ADOPTING, {"all_known": False, "in_state_s": 11.0, "any_pcs_running": False}, P.OFF),
        (P.ADOPTING, {}, P.RUNNING),
        (P.ADOPTING, {"stopped": True}, P.RAMPING_DOWN),
        (P.ADOPTING, {"stopped": True, "any_pcs_running": False, "pcs_settled": False}, P.OFF),
        (P.ADOPTING, {"any_pcs_running": False, "pcs_settled": False}, P.STARTING_PCS),
        (P.OFF, {}, P.OFF),
        (P.OFF, {"start": True}, P.CONNECTING_RACKS),
        (P.OFF, {"start": True, "fast_stop": True}, P.OFF),
        (P.CONNECTING_RACKS, {"racks_settled": False}, P.CONNECTING_RACKS),
        (P.CONNECTING_RACKS, {"racks_settled": False, "in_state_s": 61.0}, P.STARTING_PCS),
        (P.CONNECTING_RACKS, {"any_rack_connected": False}, P.STOPPING_PCS),
        (P.CONNECTING_RACKS, {"stop": True}, P.STOPPING_PCS),
        (P.STARTING_PCS, {"pcs_settled": False}, P.STARTING_PCS),
        (P.STARTING_PCS, {"pcs_settled": False, "in_state_s": 121.0}, P.RUNNING),
        (P.STARTING_PCS, {"any_pcs_running": False}, P.STOPPING_PCS),
        (P.STARTING_PCS, {"stop": True}, P.STOPPING_PCS),
        (P.RUNNING, {}, P.RUNNING),
        (P.RUNNING, {"stop": True}, P.RAMPING_DOWN),
        (P.RUNNING, {"any_pcs_running": False, "start": True, "pcs_settled": False}, P.RUNNING),
        (P.RUNNING, {"any_pcs_running": False}, P.STOPPING_PCS),
        (P.RUNNING, {"any_pcs_running": False, "any_pcs_standby": True}, P.STANDBY),
        (P.RAMPING_DOWN, {}, P.RAMPING_DOWN),
        (P.RAMPING_DOWN, {"at_zero": True}, P.STOPPING_PCS),
        (P.RAMPING_DOWN, {"in_state_s": 11.0}, P.STOPPING_PCS),
        (P.STOPPING_PCS, {}, P.STOPPING_PCS),
        (P.STOPPING_PCS, {"all_pcs_stopped": True}, P.OFF),
        (P.STOPPING_PCS, {"in_state_s": 31.0}, P.OFF),
        (P.TRIPPED, {"trip": True}, P.TRIPPED),
        (P.TRIPPED, {}, P.OFF),
        (P.RUNNING, {"any_in_service": False}, P.OUT_OF_SERVICE),
        (P.OUT_OF_SERVICE, {}, P.ADOPTING),
        (P.RUNNING, {"fast_stop": True}, P.STOPPING_PCS),
        (P.RUNNING, {"fast_stop": True, "all_pcs_stopped": True}, P.OFF),
    ],
)
def test_plant(state, changed, after):
    assert plant_sequence.next_state(state, PLANT._replace(**changed)) is after


@given(st.sampled_from(P), st.booleans(), st.booleans(), st.floats(0.0, 1e4))
def test_a_trip_wins_in_every_state_of_the_plant(state, start, fast_stop, in_state_s):
    inputs = PLANT._replace(trip=True, start=start, fast_stop=fast_stop, in_state_s=in_state_s)
    assert plant_sequence.next_state(state, inputs) is P.TRIPPED


@pytest.mark.parametrize(
    ("state", "changed", "after"),
    [
        (Pcs.UNKNOWN, {"present": False}, Pcs.UNKNOWN),
        (Pcs.RUNNING, {"present": False}, Pcs.LOST),
        (Pcs.UNKNOWN, {}, Pcs.OFF),
        (Pcs.UNKNOWN, {"reported": PcsState.RUNNING}, Pcs.ARMING),
        (Pcs.UNKNOWN, {"reported": PcsState.RUNNING, "wanted": False}, Pcs.STOPPING),
        (Pcs.LOST, {"reported": PcsState.RUNNING}, Pcs.ARMING),
        (Pcs.OFF, {}, Pcs.ARMING),
        (Pcs.OFF, {"wanted": False}, Pcs.OFF),
        (Pcs.OFF, {"stop": True}, Pcs.OFF),
        (Pcs.ARMING, {"armed": False}, Pcs.ARMING),
        (Pcs.ARMING, {"ready": False}, Pcs.ARMING),
        (Pcs.ARMING, {}, Pcs.STARTING),
        (Pcs.ARMING, {"reported": PcsState.RUNNING}, Pcs.RUNNING),
        (Pcs.ARMING, {"in_state_s": 61.0}, Pcs.OFF),
        (Pcs.ARMING, {"in_state_s": 61.0, "reported": PcsState.RUNNING}, Pcs.STOPPING),
        (Pcs.STARTING, {}, Pcs.STARTING),
        (Pcs.STARTING, {"reported": PcsState.THROTTLED}, Pcs.RUNNING),
        (Pcs.STARTING, {"in_state_s": 61.0}, Pcs.STOPPING),
        (Pcs.RUNNING, {"reported": PcsState.STARTING}, Pcs.RUNNING),
        (Pcs.RUNNING, {"reported": PcsState.STANDBY}, Pcs.STANDBY),
        (Pcs.RUNNING, {}, Pcs.OFF),
        (Pcs.RUNNING, {"wanted": False, "reported": PcsState.RUNNING}, Pcs.STOPPING),
        (Pcs.RUNNING, {"unarmed": True, "reported": PcsState.RUNNING}, Pcs.ARMING),
        (Pcs.STANDBY, {"reported": PcsState.RUNNING}, Pcs.RUNNING),
        (Pcs.STOPPING, {"reported": PcsState.SHUTTING_DOWN}, Pcs.STOPPING),
        (Pcs.STOPPING, {}, Pcs.OFF),
        (Pcs.RUNNING, {"reported": PcsState.FAULT}, Pcs.TRIPPED),
        (Pcs.TRIPPED, {}, Pcs.OFF),
        (Pcs.TRIPPED, {"reported": PcsState.RUNNING}, Pcs.STOPPING),
        (Pcs.RUNNING, {"in_service": False}, Pcs.OUT_OF_SERVICE),
        (Pcs.OUT_OF_SERVICE, {}, Pcs.OFF),
    ],
)
def test_converter(state, changed, after):
    assert pcs_sequence.next_state(state, PCS._replace(**changed)) is after


@given(st.sampled_from(Pcs), st.sampled_from(PcsState), st.booleans(), st.booleans(), st.floats(0.0, 1e3))
def test_a_stopped_converter_is_never_started_or_kept_running(state, reported, wanted, armed, in_state_s):
    inputs = PCS._replace(reported=reported, wanted=wanted, armed=armed, in_state_s=in_state_s, stop=True)
    assert pcs_sequence.next_state(state, inputs) not in {Pcs.ARMING, Pcs.STARTING, Pcs.RUNNING, Pcs.STANDBY}


LATE = {"may_connect": False, "in_state_s": 61.0}
LEAVE, IN, OUT = Wanted.LEAVE, Wanted.CONNECTED, Wanted.DISCONNECTED


@pytest.mark.parametrize(
    ("state", "changed", "after"),
    [
        (R.UNKNOWN, {"contactor": C.UNKNOWN}, R.UNKNOWN),
        (R.UNKNOWN, {"contactor": C.PRECHARGING}, R.UNKNOWN),
        (R.UNKNOWN, {}, R.CONNECTED),
        (R.UNKNOWN, {"contactor": C.FAULT}, R.DISCONNECTED),
        (R.DISCONNECTED, {}, R.CONNECTED),
        (R.DISCONNECTED, {"contactor": C.OPEN, "wanted": IN}, R.WAITING_FOR_VOLTAGE),
        (R.DISCONNECTED, {"contactor": C.OPEN}, R.DISCONNECTED),
        (R.WAITING_FOR_VOLTAGE, {}, R.CONNECTED),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": IN}, R.CONNECTING),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": OUT}, R.DISCONNECTED),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": IN, "may_connect": False}, R.WAITING_FOR_VOLTAGE),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": IN, "in_state_s": 61.0}, R.CONNECTING),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": IN, **LATE}, R.DISCONNECTED),
        (R.WAITING_FOR_VOLTAGE, {"contactor": C.OPEN, "wanted": IN, **LATE, "apart": True}, R.WAITING_FOR_VOLTAGE),
        (R.CONNECTING, {"contactor": C.PRECHARGING, "wanted": IN}, R.CONNECTING),
        (R.CONNECTING, {"contactor": C.FAULT, "wanted": IN}, R.CONNECTING),  # the one that was just reset
        (R.CONNECTING, {"contactor": C.FAULT, "wanted": IN, "in_state_s": 5.1}, R.DISCONNECTED),
        (R.CONNECTED, {"contactor": C.FAULT, "wanted": IN}, R.DISCONNECTED),
        (R.CONNECTING, {"contactor": C.OPEN, "wanted": IN, "in_state_s": 61.0}, R.DISCONNECTED),
        (R.CONNECTING, {"contactor": C.PRECHARGING, "wanted": OUT}, R.DISCONNECTING),
        (R.CONNECTING, {}, R.CONNECTED),
        (R.CONNECTED, {}, R.CONNECTED),
        (R.CONNECTED, {"contactor": C.UNKNOWN}, R.CONNECTED),
        (R.CONNECTED, {"contactor": C.OPEN}, R.DISCONNECTED),
        (R.CONNECTED, {"wanted": OUT}, R.UNLOADING),
        (R.UNLOADING, {"wanted": OUT, "unloaded": False}, R.UNLOADING),
        (R.UNLOADING, {"wanted": OUT}, R.DISCONNECTING),
        (R.UNLOADING, {}, R.CONNECTED),
        (R.UNLOADING, {"contactor": C.OPEN, "wanted": OUT}, R.DISCONNECTED),
        (R.UNLOADING, {"wanted": OUT, "unloaded": False, "in_state_s": 11.0}, R.DISCONNECT_FAILED),
        (R.DISCONNECTING, {"wanted": OUT}, R.DISCONNECTING),
        (R.DISCONNECTING, {"contactor": C.OPEN}, R.DISCONNECTED),
        (R.DISCONNECTING, {"contactor": C.OPEN, "no_current": False}, R.DISCONNECTING),
        (R.DISCONNECTING, {"request_failed": True}, R.DISCONNECT_FAILED),
        (R.DISCONNECT_FAILED, {"in_state_s": 11.0}, R.DISCONNECTING),
        (R.DISCONNECT_FAILED, {}, R.DISCONNECT_FAILED),
        (R.DISCONNECT_FAILED, {"contactor": C.OPEN}, R.DISCONNECTED),
    ],
)
def test_rack(state, changed, after):
    assert rack_sequence.next_state(state, RACK._replace(**changed)) is after


@given(st.sampled_from(R), st.sampled_from(Wanted), st.booleans(), st.floats(0.0, 5.0))
def test_lost_data_alone_moves_no_rack_to_a_request(state, wanted, may_connect, in_state_s):
    """Without data nothing is connected, and nothing is disconnected that nobody wants away."""
    inputs = RACK._replace(contactor=C.UNKNOWN, wanted=wanted, may_connect=may_connect, in_state_s=in_state_s)
    after = rack_sequence.next_state(state, inputs)
    if wanted is not Wanted.DISCONNECTED and state not in {R.DISCONNECTING, R.DISCONNECT_FAILED, R.UNLOADING}:
        assert after is not R.DISCONNECTING
