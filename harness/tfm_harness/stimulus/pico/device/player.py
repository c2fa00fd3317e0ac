"""Plays samples into the register models and keeps the record of what was really served.

Runs under MicroPython (called from hard interrupts: no allocation) and CPython.
"""

from array import array

CAPACITY = 4096  # samples of a loaded trace
SERVED = 1024  # samples in the served record (a ring)

NONE = 0
ABSENT = 1
STUCK = 2


class Player:
    """Holds the current sample, a trace, and the ring of served samples."""

    def __init__(self, mag, temp):
        """Make a player over the two register models."""
        self.mag = mag
        self.temp = temp
        self.trace = array("h", bytes(2 * 4 * CAPACITY))
        self.length = 0
        self.position = 0
        self.served = array("h", bytes(2 * 4 * SERVED))
        self.served_count = 0
        self.current = array("h", (0, 0, 0, 0))
        self.latched = array("h", (0, 0, 0, 0))
        self.mag_seen = False
        self.playing = False

    def set(self, x, y, z, t):
        """Make this the sample of the next read (raw counts)."""
        current = self.current
        current[0] = x
        current[1] = y
        current[2] = z
        current[3] = t
        self.mag.set_counts(x, y, z)
        self.temp.set_count(t)

    def load(self, index, x, y, z, t):
        """Store one sample of a trace; False when it does not fit."""
        if not 0 <= index < CAPACITY:
            return False
        base = 4 * index
        trace = self.trace
        trace[base] = x
        trace[base + 1] = y
        trace[base + 2] = z
        trace[base + 3] = t
        if index >= self.length:
            self.length = index + 1
        return True

    def play(self, length):
        """Start the loaded trace at its first sample: one step for each complete sample served."""
        if not 0 < length <= self.length:
            return False
        self.length = length
        self.position = 0
        self.playing = True
        self._show(0)
        return True

    def stop(self):
        """Keep the current sample from now on."""
        self.playing = False

    def _show(self, index):
        base = 4 * index
        trace = self.trace
        self.set(trace[base], trace[base + 1], trace[base + 2], trace[base + 3])

    def mag_read(self):
        """All six magnetometer bytes were read: that half of the sample is fixed."""
        latched = self.latched
        current = self.current
        latched[0] = current[0]
        latched[1] = current[1]
        latched[2] = current[2]
        self.mag_seen = True

    def temp_read(self):
        """The temperature was read: with a magnetometer read before it, one sample is complete."""
        if not self.mag_seen:
            return
        self.mag_seen = False
        base = 4 * (self.served_count % SERVED)
        served = self.served
        latched = self.latched
        served[base] = latched[0]
        served[base + 1] = latched[1]
        served[base + 2] = latched[2]
        served[base + 3] = self.current[3]
        self.served_count += 1
        if self.playing and self.position + 1 < self.length:
            self.position += 1
            self._show(self.position)
