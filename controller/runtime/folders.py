"""Where a run keeps its things: the state folder (survives), the run directory (dies with the machine's memory)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from controller.link.run_directory import RunDirectory, locate

SERVICE_STATE = Path("/var/lib/bess")


@dataclass(frozen=True, slots=True)
class Folders:
    """Both folders of one run, and the names within them."""

    state: Path
    run: RunDirectory
    simulated: bool

    @property
    def retained(self) -> Path:
        """Retained state: what was decided."""
        return self.state / "retained"

    @property
    def learned(self) -> Path:
        """Retained state: what was learned."""
        return self.state / "learned"

    @property
    def journal(self) -> Path:
        """The event journal."""
        return self.state / "journal.sqlite"

    @property
    def processes(self) -> Path:
        """What the supervisor says of its children."""
        return self.run.processes

    def port(self, role: str) -> Path:
        """The port that the system chose for a face, so that a restarted face comes back to it."""
        return self.run.folder / f"{role}.port"


def folders_of(site_id: str, *, simulated: bool, state: Path | None = None) -> Folders:
    """Return the folders of a run of this site; `state` replaces the usual state folder."""
    name = f"{site_id}-simulated" if simulated else site_id
    chosen = (state or _usual_state(name)).resolve()
    run = locate(site_id, os.environ, os.geteuid(), simulated_state=chosen if simulated else None)
    return Folders(chosen, run, simulated)


def _usual_state(name: str) -> Path:
    if service := os.environ.get("STATE_DIRECTORY", "").split(":")[0]:
        return Path(service)
    if "RUNTIME_DIRECTORY" in os.environ:
        return SERVICE_STATE / name
    home = os.environ.get("XDG_STATE_HOME")
    return (Path(home) if home else Path.home() / ".local" / "state") / "bess" / name
