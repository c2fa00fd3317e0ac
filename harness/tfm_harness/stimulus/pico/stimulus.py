"""The stimulus of real boards: a Pico that plays both sensors on the board's I2C bus."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Final

from tfm_harness.config.endpoint import SerialEndpoint
from tfm_harness.config.sensors import SensorConfig
from tfm_harness.config.stimulus import PicoStimulusConfig
from tfm_harness.console.endpoints import open_endpoint
from tfm_harness.console.transport import Transport
from tfm_harness.errors import ConfigError, InfrastructureError
from tfm_harness.stimulus.base import Sample
from tfm_harness.stimulus.pico.link import PicoLink
from tfm_harness.stimulus.recorded import RecordedStimulus, only_built_in

__all__ = ["EndpointLines", "PicoStimulus"]

_LONGEST: Final = 512  # the longest answer of device/link.py is below 200 characters
_ADDRESSES: Final = {"lsm303dlhc": 0x1E, "tmp105": 0x48}  # device/sensors.py


class EndpointLines:
    """Lines over a console transport (tty, serial server)."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._name = name
        self._pending = b""

    @property
    def name(self) -> str:
        """See `LineTransport`."""
        return self._name

    def send(self, line: bytes) -> None:
        """See `LineTransport`. Raises `InfrastructureError` kind ``pico-gone``."""
        view = memoryview(line)
        try:
            while view:
                if not self._ready(select.POLLOUT, 5.0):
                    raise self._gone("it takes no more bytes")
                view = view[self._transport.write(view) :]
        except OSError as error:
            raise self._gone(str(error)) from error

    def receive(self, timeout: float) -> bytes | None:
        """See `LineTransport`. Raises `InfrastructureError` kind ``pico-gone``."""
        buffer = bytearray(4096)
        deadline = time.monotonic() + timeout
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not self._ready(select.POLLIN, left):
                return None
            count = self._transport.read_into(memoryview(buffer))
            if count == 0:
                raise self._gone("the port is gone")
            # A line that is too long for an answer is noise: only its end may belong to an answer.
            self._pending = (self._pending + buffer[: count or 0])[-_LONGEST:]
        line, _, self._pending = self._pending.partition(b"\n")
        return line.rstrip(b"\r")

    def _ready(self, events: int, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._transport.fileno(), events)
        return bool(poll.poll(max(timeout, 0) * 1000))

    def _gone(self, seen: str) -> InfrastructureError:
        return InfrastructureError(
            "the sensor player went away",
            kind="pico-gone",
            seen=seen,
            where=self._name,
            hint="check the Pico's cable and supply",
        )

    def close(self) -> None:
        """See `LineTransport`."""
        self._transport.close()


class PicoStimulus(RecordedStimulus):
    """Plays through a Pico.

    Raises:
        InfrastructureError: ``port-*``, ``pico-*``.
        ConfigError: kind ``stimulus-sensor``: a sensor at an address that the Pico does not answer at.
    """

    def __init__(self, config: PicoStimulusConfig, sensors: Mapping[str, SensorConfig]) -> None:
        only_built_in(sensors, "the Pico")
        super().__init__(sensors)
        for name, sensor in sensors.items():
            if sensor.address != _ADDRESSES[sensor.model]:
                raise ConfigError(
                    f"the Pico does not play sensor {name!r}",
                    kind="stimulus-sensor",
                    expected=f"{sensor.model} at 0x{_ADDRESSES[sensor.model]:02x}",
                    seen=f"0x{sensor.address:02x}",
                    hint="the addresses are in harness/tfm_harness/stimulus/pico/device/sensors.py",
                )
        endpoint = config.endpoint or SerialEndpoint(port=config.port or "")
        name = endpoint.port if isinstance(endpoint, SerialEndpoint) else f"{endpoint.host}:{endpoint.port}"
        self._lines = EndpointLines(open_endpoint(endpoint), name)
        self._link = PicoLink(self._lines, timeout=config.timeout)
        try:
            self.uid = self._link.hello()
            for sensor_name in ("mag", "temp"):
                self._link.fault(sensor_name, "none")  # an earlier session may have left a trace
            self.rest()
        except BaseException:
            self.close()
            raise

    @property
    def link(self) -> PicoLink:
        """The line protocol, for tests of bus faults and for traces that the Pico plays by itself."""
        return self._link

    @property
    def _where(self) -> str:
        return self._lines.name

    def _served_count(self) -> int:
        return self._link.served_count()

    def _last_served(self) -> Sample:
        return self._link.served(1)[0]

    def _serve(self, sample: Sample) -> None:
        self._link.set(sample)

    def close(self) -> None:
        """Close the port; the Pico goes on playing the last value. Safe to call twice."""
        self._lines.close()
