"""Register models of the two sensors, as an I2C controller sees them.

Runs under MicroPython on the RP2040 (inside hard interrupts: nothing here allocates
memory after `__init__`) and under CPython for tests.

Sources: ST LSM303DLHC data sheet (DocID018771), section 7 (registers) and 5.1.1 (address
auto-increment of the magnetic sensor); TI TMP105 data sheet (SBOS417), section 7.5.
"""


class Lsm303dlhcMag:
    """Magnetometer half of an LSM303DLHC: raw counts in, register bytes out."""

    ADDRESS = 0x1E

    def __init__(self):
        """Power-on values of the register map."""
        self.registers = bytearray(0x40)
        self.registers[0x00] = 0x10  # CRA_REG_M: 15 Hz
        self.registers[0x01] = 0x20  # CRB_REG_M: +-1.3 gauss
        self.registers[0x02] = 0x03  # MR_REG_M: sleep
        self.registers[0x09] = 0x01  # SR_REG_M: DRDY
        self.registers[0x0A] = 0x48  # IRA_REG_M 'H'
        self.registers[0x0B] = 0x34  # IRB_REG_M '4'
        self.registers[0x0C] = 0x33  # IRC_REG_M '3'
        self.pending = bytearray(6)  # X, Z, Y: the device's own order
        self.pointer = 0
        self.written = 0
        self.outputs_read = 0

    def set_counts(self, x, y, z):
        """Values that the next read transaction latches (int16 each)."""
        pending = self.pending
        pending[0] = (x >> 8) & 0xFF
        pending[1] = x & 0xFF
        pending[2] = (z >> 8) & 0xFF
        pending[3] = z & 0xFF
        pending[4] = (y >> 8) & 0xFF
        pending[5] = y & 0xFF

    def begin_write(self):
        """Addressed for writing: the next byte is the register pointer."""
        self.written = 0

    def write(self, value):
        """Take one byte from the controller; only CRA, CRB and MR can be written."""
        if self.written == 0:
            self.pointer = value
        elif self.pointer <= 0x02:
            self.registers[self.pointer] = value
            self.pointer += 1
        self.written += 1

    def begin_read(self):
        """Addressed for reading: all six output bytes are latched together."""
        registers = self.registers
        pending = self.pending
        for i in range(6):
            registers[3 + i] = pending[i]
        registers[0x09] = 0x03  # LOCK until the read ends
        self.outputs_read = 0

    def read(self):
        """Give one byte to the controller and move the pointer: 8 wraps to 3, 12 to 0."""
        pointer = self.pointer
        value = self.registers[pointer] if pointer < 0x40 else 0
        if 3 <= pointer <= 8:
            self.outputs_read |= 1 << (pointer - 3)
        if pointer == 8:
            self.pointer = 3
        elif pointer >= 12:
            self.pointer = 0
        else:
            self.pointer = pointer + 1
        return value

    def end_read(self):
        """The read ended; True when all six outputs were read in it."""
        self.registers[0x09] = 0x01
        complete = self.outputs_read == 0x3F
        self.outputs_read = 0
        return complete


class Tmp105:
    """TMP105 thermometer: 1/16 degC counts in, register bytes out."""

    ADDRESS = 0x48

    def __init__(self):
        """Power-on values of the register map."""
        self.count = 0
        self.config = 0
        self.limits = bytearray((0x4B, 0x00, 0x50, 0x00))  # T_LOW 75, T_HIGH 80 degC
        self.pointer = 0
        self.written = 0
        self.buffer = bytearray(2)
        self.length = 0
        self.index = 0

    def set_count(self, count):
        """Temperature in 1/16 degC (12 bit, signed), latched by the next read."""
        self.count = count

    def begin_write(self):
        """Addressed for writing: the next byte is the register pointer."""
        self.written = 0

    def write(self, value):
        """Take one byte from the controller."""
        if self.written == 0:
            self.pointer = value & 3
        elif self.pointer == 1 and self.written == 1:
            self.config = value
        elif self.pointer >= 2 and self.written <= 2:
            self.limits[(self.pointer - 2) * 2 + self.written - 1] = value
        self.written += 1

    def begin_read(self):
        """Addressed for reading: the register is latched, with the configured resolution."""
        buffer = self.buffer
        self.index = 0
        self.length = 2
        if self.pointer == 0:
            raw = (self.count << 4) & 0xFFFF
            buffer[0] = raw >> 8
            # R1:R0 = 00 is 9 bit ... 11 is 12 bit
            buffer[1] = raw & (0xF0 << ((~self.config >> 5) & 3)) & 0xFF
        elif self.pointer == 1:
            buffer[0] = self.config
            self.length = 1
        else:
            base = (self.pointer - 2) * 2
            buffer[0] = self.limits[base]
            buffer[1] = self.limits[base + 1]

    def read(self):
        """Give one byte to the controller; 0xFF behind the register's end."""
        if self.index < self.length:
            value = self.buffer[self.index]
        else:
            value = 0xFF
        self.index += 1
        return value

    def end_read(self):
        """The read ended; True when the whole temperature was read in it."""
        complete = self.pointer == 0 and self.index >= 2
        self.index = 0
        return complete
