"""FT4222H as I2C target, through PyPI ``ft4222``, for sensors for which one preloaded answer is enough.

The chip has no register map: bytes are queued beforehand, and a read returns them for any register (FTDI AN_329, I2C
slave functions). That is enough for a TMP105, whose only register read in operation is the temperature. It is not for
an LSM303DLHC: the identity registers that drivers read first would answer with sample bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tfm_harness.config.sensors import SensorConfig
from tfm_harness.config.stimulus import Ft4222StimulusConfig
from tfm_harness.errors import ConfigError, InfrastructureError, ProductError
from tfm_harness.stimulus.player import PlayedStimulus

__all__ = ["Ft4222Stimulus"]


class Ft4222Stimulus(PlayedStimulus):
    """Plays one TMP105.

    Raises:
        ConfigError: kind ``stimulus-sensor``: another sensor is declared.
        InfrastructureError: kind ``tool-missing`` (no ``ft4222``), ``ft4222-missing``, ``ft4222-failed``.
    """

    def __init__(self, config: Ft4222StimulusConfig, sensors: Mapping[str, SensorConfig]) -> None:
        super().__init__(sensors)
        wrong = [
            name
            for name, sensor in sensors.items()
            if sensor.model != "tmp105" or sensor.address != config.sensor or len(sensors) > 1
        ]
        if wrong or not sensors:
            raise ConfigError(
                "an FT4222H plays one TMP105, nothing else",
                kind="stimulus-sensor",
                expected=f"one sensor: tmp105 at 0x{config.sensor:02x}",
                seen=", ".join(f"{name} ({sensor.model} at 0x{sensor.address:02x})" for name, sensor in sensors.items())
                or "no sensors",
                hint="use a Raspberry Pi Pico (`stimulus: {kind: pico, ...}`), which plays both sensors",
            )
        self._name = config.description
        self._device: Any = None
        self._device = self._open(_module(), config)
        self.rest()

    def _open(self, module: ModuleType, config: Ft4222StimulusConfig) -> Any:  # noqa: ANN401 - not typed
        try:
            device = module.openByDescription(config.description)
        except Exception as error:  # exceptions of the library, and of ctypes if the driver is missing
            raise InfrastructureError(
                f"no FT4222H called {config.description!r}",
                kind="ft4222-missing",
                seen=f"{type(error).__name__}: {error}"[:300],
                hint="plug it in, in mode 0 or 3, and let this user open it (udev rule for 0403:601c)",
            ) from error
        try:
            device.i2cSlave_Init()
            device.i2cSlave_SetAddress(config.sensor)
        except Exception as error:
            device.close()
            raise self._failed(error) from error
        return device

    def _failed(self, error: Exception) -> InfrastructureError:
        return InfrastructureError(
            f"the FT4222H {self._name!r} does not obey",
            kind="ft4222-failed",
            seen=f"{type(error).__name__}: {error}"[:300],
            hint="unplug it and plug it in again",
        )

    def _apply(self, values: Mapping[str, int]) -> None:
        register = self._sample_of({**self._values, **values}).t << 4
        try:
            self._device.i2cSlave_Reset()  # keeps the address, drops unread bytes
            self._device.i2cSlave_Write((register & 0xFFFF).to_bytes(2, "big"))
        except Exception as error:
            raise self._failed(error) from error

    def taken(self) -> None:
        """See `Stimulus`; loads the next answer.

        Raises:
            ProductError: kind ``sensor-not-read``: nothing was written to the adapter, not even a register pointer.
        """
        try:
            asked = self._device.i2cSlave_GetRxStatus()
        except Exception as error:
            raise self._failed(error) from error
        if not asked:
            raise ProductError(
                "the device says that it took a sample, but the sensor was not addressed",
                kind="sensor-not-read",
                expected="a register pointer written to the TMP105",
                seen="no byte",
                where=self._name,
                hint="check that the secure side reads this sensor, at this address",
            )
        super().taken()
        self._apply({})

    def close(self) -> None:
        """Release the adapter. Safe to call twice."""
        if self._device is not None:
            device, self._device = self._device, None
            device.close()


def _module() -> ModuleType:
    import importlib

    try:
        return importlib.import_module("ft4222")
    except (ImportError, OSError) as error:
        raise InfrastructureError(
            "the Python package ft4222 is not there",
            kind="tool-missing",
            expected="ft4222 1.13 or newer",
            seen=str(error),
            hint="pip install 'tfm-harness[ft4222]'",
        ) from error
