"""Entry point on the Raspberry Pi Pico: two I2C targets and the command loop.

Needs MicroPython 1.26 or newer for the rp2 port (machine.I2CTarget). Wiring: see README.md.
"""

import select
import sys

import machine
import micropython
from link import Link
from machine import I2CTarget, Pin
from player import ABSENT, NONE, STUCK, Player
from sensors import Lsm303dlhcMag, Tmp105

micropython.alloc_emergency_exception_buf(100)

MAG_ID, MAG_SDA, MAG_SCL = 0, 0, 1
TEMP_ID, TEMP_SDA, TEMP_SCL = 1, 2, 3


class Target:
    """One register model behind one I2C peripheral of the RP2040."""

    def __init__(self, peripheral, sda, scl, model, on_complete):
        """`on_complete` is called (in the interrupt) after a complete read of the outputs."""
        self.peripheral, self.sda, self.scl = peripheral, sda, scl
        self.model = model
        self.on_complete = on_complete
        self.byte = bytearray(1)
        self.reading = False
        self.target = None
        self.attach()

    def attach(self):
        """Answer on the bus."""
        if self.target is not None:
            return
        self.target = I2CTarget(self.peripheral, self.model.ADDRESS, scl=Pin(self.scl), sda=Pin(self.sda))
        self.target.irq(
            self.interrupt,
            I2CTarget.IRQ_ADDR_MATCH_READ
            | I2CTarget.IRQ_ADDR_MATCH_WRITE
            | I2CTarget.IRQ_READ_REQ
            | I2CTarget.IRQ_WRITE_REQ
            | I2CTarget.IRQ_END_READ
            | I2CTarget.IRQ_END_WRITE,
            hard=True,
        )

    def detach(self):
        """Leave the bus: the address is not acknowledged any more."""
        if self.target is not None:
            self.target.deinit()
            self.target = None
        Pin(self.sda, Pin.IN)
        Pin(self.scl, Pin.IN)

    def hold_low(self):
        """Hold SDA low: a stuck bus."""
        self.detach()
        Pin(self.sda, Pin.OPEN_DRAIN, value=0)

    def interrupt(self, target):
        """Hard interrupt: move bytes between the controller and the register model."""
        flags = target.irq().flags()
        model = self.model
        if flags & I2CTarget.IRQ_ADDR_MATCH_WRITE:
            model.begin_write()
        if flags & I2CTarget.IRQ_WRITE_REQ:
            target.readinto(self.byte)
            model.write(self.byte[0])
        if flags & I2CTarget.IRQ_ADDR_MATCH_READ:
            model.begin_read()
            self.reading = True
        if flags & I2CTarget.IRQ_READ_REQ:
            self.byte[0] = model.read()
            target.write(self.byte)
        if flags & I2CTarget.IRQ_END_READ and self.reading:
            self.reading = False
            if model.end_read():
                self.on_complete()


class Bus:
    """Both targets, for the link's fault command."""

    def __init__(self, targets):
        """`targets` maps ``mag`` and ``temp`` to `Target` objects."""
        self.targets = targets

    def fault(self, sensor, mode):
        """Play an absent sensor, a stuck bus, or neither."""
        target = self.targets[sensor]
        if mode == NONE:
            target.detach()
            target.attach()
        elif mode == ABSENT:
            target.detach()
        elif mode == STUCK:
            target.hold_low()
        return True


def run():
    """Serve the sensors and the host's commands until the power goes off."""
    mag, temp = Lsm303dlhcMag(), Tmp105()
    player = Player(mag, temp)
    bus = Bus(
        {
            "mag": Target(MAG_ID, MAG_SDA, MAG_SCL, mag, player.mag_read),
            "temp": Target(TEMP_ID, TEMP_SDA, TEMP_SCL, temp, player.temp_read),
        }
    )
    uid = "".join("%02x" % byte for byte in machine.unique_id())
    link = Link(player, bus, uid)
    micropython.kbd_intr(-1)  # a 0x03 in the stream must not stop the program
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    while True:
        poll.poll()
        line = sys.stdin.buffer.readline()
        if line:
            sys.stdout.buffer.write(link.handle(line.rstrip(b"\r\n")))


run()
