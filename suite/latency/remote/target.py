"""A device that passed its inspection, and what a measurement may ask of it without knowing whether it is a phone."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from suite.errors import InputError, NothingMeasuredError
from suite.latency.device import Blocks, Device
from suite.latency.remote.findings import Finding
from suite.latency.remote.identity import Answered
from suite.latency.remote.transport import Transport
from suite.latency.validity import Problem
from suite.progress import say
from suite.records.schema import Machine


class Target(ABC):
    """One device, ready to be measured on one core.

    Attributes:
        transport: how it is reached.
        device: its device file.
        core: the core to measure on.
        machine: the device as a record describes it.
        machine_name: what ``uname -m`` says there.
        answered: who is at the other end.
        sensors: file of the temperature by sensor, read by the runner after every round.
        built_khz: highest frequency of the core as built; None if it does not tell.
    """

    def __init__(
        self,
        transport: Transport,
        device: Device,
        core: int,
        machine: Machine,
        answered: Answered,
        sensors: Mapping[str, str],
        built_khz: int | None,
    ) -> None:
        self.transport, self.device, self.core = transport, device, core
        self.machine, self.answered = machine, answered
        self.sensors, self.built_khz = sensors, built_khz
        self.machine_name = transport.shell("uname -m").output.strip()

    @property
    def blocks(self) -> Blocks:
        """How a run is cut.

        Raises:
            InputError: if the device file does not say.
        """
        if self.device.blocks is None:
            raise InputError(f"{self.device.name}.toml: [blocks] is missing; add it")
        return self.device.blocks

    @abstractmethod
    def look(self) -> list[Finding]:
        """Look again, and return what stands against measuring now."""

    @abstractmethod
    def prepare(self, folder: str) -> None:
        """Change on the device what a run needs, each change noted in the folder's ``restore.sh`` before it is made."""

    @abstractmethod
    def slowed_down(self) -> list[Problem]:
        """Return whether the device says, right after a run, that it slowed itself down."""

    def wait_until_ready(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait while all that stands against measuring passes by itself.

        Args:
            sleep: waits so many seconds.

        Raises:
            NothingMeasuredError: if something stands against it that waiting does not mend, or it took too long.
        """
        waited_s = 0.0
        while True:
            refusals = [finding for finding in self.look() if finding.refuses]
            if not refusals:
                return
            lasting = [finding for finding in refusals if not finding.passes]
            if lasting or waited_s >= self.blocks.max_cool_down_s:
                worst = (lasting or refusals)[0]
                after = f" after {waited_s:.0f} s of waiting" if waited_s else ""
                raise NothingMeasuredError(
                    f"{self.transport.kind}: {worst.what}{after}; {worst.remedy}, and start again"
                )
            if waited_s == 0:
                say(f"{self.transport.kind}: {refusals[0].what}; waiting")
            sleep(self.blocks.check_every_s)
            waited_s += self.blocks.check_every_s
