"""The benchmark's abusing clients do abuse: each kind is counted, and the face outlives it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from controller.scada.bench_clients import ACTS
from tests.scada.opcua.parts import client_of, served, talking_plant, value_of


async def test_every_abuse_acts_and_somebody_honest_is_still_served(demo_plant, state):
    async with asyncio.timeout(120), served(demo_plant, talking_plant(demo_plant), state) as face:
        command = [sys.executable, "-m", "controller.scada.bench_clients", "abuse", face.url, "0"]
        pipe = subprocess.PIPE
        abuse = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert abuse.stdout is not None
        assert json.loads(await abuse.stdout.readline()) == {"ready": True}
        async with client_of(face) as honest:
            assert (await value_of(honest, "Plant.SoC")).StatusCode.is_good()
        done, _ = await abuse.communicate(b"")  # the end of its input is its end
        assert json.loads(done).keys() == set(ACTS)
        assert face.broken()["BadTcpMessageTooLarge"], "the giants were thrown out"
