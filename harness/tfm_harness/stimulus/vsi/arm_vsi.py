"""The sensor behind one Virtual Streaming Interface instance of an Arm FVP.

The model imports this file as ``arm_vsiN.py`` from the folder given with
``-C mps3_board.v_path=DIR``, in a Python 3.9 sub-interpreter of its own: only the standard
library, nothing newer than 3.9, no numpy. Functions and their meaning: Arm Virtual Hardware,
"Virtual Streaming Interface", Python script interface.

The harness plays by files in the same folder:

* ``now.bin``: the sample that a read returns (8 bytes: x, y, z as int16 LE raw counts, t in 1/16 degC),
  replaced atomically;
* ``trace.bin``: if it exists, its samples are served one after the other instead;
* ``served.bin``: this script appends each sample that it really served, in order.

User registers (guest's view, index = number of the 32-bit register):

* 0 W: 1 takes a sample and latches it; R: number of samples served
* 1..4 R: x, y, z, t of the latched sample, as 32-bit two's complement
* 5 R: status, 0 = ok, 1 = no sample there (sensor absent)

DMA, P2M: each block is filled with consecutive samples, 8 bytes each.
"""

import os

RECORD = 8

IRQ_STATUS = 0
TIMER_CONTROL = 0
DMA_CONTROL = 0
REGS = [0] * 64

_state = {"served": 0, "position": 0}


def _folder():
    configured = os.environ.get("TFM_HARNESS_VSI_DIR")
    return configured or os.path.dirname(os.path.abspath(__file__))


def _read(name):
    try:
        with open(os.path.join(_folder(), name), "rb") as file:
            return file.read()
    except OSError:
        return b""


def _next_record():
    """The next 8-byte record, or None when the sensor is absent."""
    trace = _read("trace.bin")
    if trace:
        # The last sample stays, like that of a stopped sensor.
        last = len(trace) // RECORD - 1
        position = min(_state["position"], last)
        if position < 0:
            return None
        _state["position"] = position + 1
        return trace[position * RECORD : (position + 1) * RECORD]
    now = _read("now.bin")
    return now if len(now) == RECORD else None


def _serve():
    record = _next_record()
    if record is None:
        return None
    with open(os.path.join(_folder(), "served.bin"), "ab") as file:
        file.write(record)
    _state["served"] += 1
    return record


def init():
    """Start of simulation: called once for the instance."""
    _state["served"] = 0
    _state["position"] = 0
    for index in range(len(REGS)):
        REGS[index] = 0


def rdIRQ():  # noqa: N802 - the model's name
    """The guest reads the interrupt request register."""
    return IRQ_STATUS


def wrIRQ(value):  # noqa: N802 - the model's name
    """The guest writes the interrupt request register."""
    global IRQ_STATUS
    IRQ_STATUS = value
    return value


def wrTimer(index, value):  # noqa: N802 - the model's name
    """The guest writes a timer register; 0 is Control."""
    global TIMER_CONTROL
    if index == 0:
        TIMER_CONTROL = value
    return value


def timerEvent():  # noqa: N802 - the model's name
    """The timer overflowed: the DMA block that follows asks for its data itself."""


def wrDMA(index, value):  # noqa: N802 - the model's name
    """The guest writes a DMA register; 0 is Control (bit 0 enable, bit 1 direction)."""
    global DMA_CONTROL
    if index == 0:
        DMA_CONTROL = value
    return value


def rdDataDMA(size):  # noqa: N802 - the model's name
    """Data for a P2M block of `size` bytes: whole samples, zeros behind the last."""
    data = bytearray()
    while len(data) + RECORD <= size:
        record = _serve()
        if record is None:
            REGS[5] = 1
            break
        REGS[5] = 0
        data += record
    data += bytes(size - len(data))
    return data


def wrDataDMA(data, size):  # noqa: N802 - the model's name
    """M2P data: this peripheral takes none."""


def rdRegs(index):  # noqa: N802 - the model's name
    """The guest reads a user register."""
    return _state["served"] if index == 0 else REGS[index]


def wrRegs(index, value):  # noqa: N802 - the model's name
    """The guest writes a user register; 1 to register 0 takes a sample."""
    if index == 0 and value == 1:
        record = _serve()
        REGS[5] = 1 if record is None else 0
        for axis in range(4):
            raw = 0 if record is None else int.from_bytes(record[2 * axis : 2 * axis + 2], "little", signed=True)
            REGS[1 + axis] = raw & 0xFFFFFFFF
    elif index > 5:
        REGS[index] = value
    return value
