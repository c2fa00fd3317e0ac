"""The line protocol between host and Pico over USB-CDC.

Request  ``>SEQ VERB ARGS*CRC``   answer  ``<SEQ ok ARGS*CRC`` or ``<SEQ err WORD*CRC``;
each line ends in LF, CRC is CRC-16/XMODEM over what stands before ``*``, as four hex digits.
A line that is broken is answered ``<- err crc`` so that the host counts it; nothing is done.
Runs under MicroPython and CPython.
"""

import player as _player

MAX_LINE = 200
VERSION = 1


def crc16(data):
    """CRC-16/XMODEM (polynomial 0x1021, initial value 0) of a bytes object."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
    return crc


def seal(text):
    """A complete line for `text`, with CRC and LF, as bytes."""
    body = text.encode()
    return body + b"*%04X\n" % crc16(body)


def unseal(line):
    """The text of a received line (no LF), or None when it is broken."""
    body, star, digits = line.rpartition(b"*")
    if not star or len(digits) != 4:
        return None
    try:
        if int(digits, 16) != crc16(body):
            return None
        return body.decode()
    except ValueError:
        return None


class Link:
    """Executes request lines on a player and a bus."""

    def __init__(self, player, bus, uid):
        """`bus` has ``fault(sensor, mode)``; `uid` is the board's unique id in hex."""
        self.player = player
        self.bus = bus
        self.uid = uid
        self.broken = 0

    def handle(self, line):
        """The answer (bytes) to one received line (bytes, no LF)."""
        text = unseal(line) if len(line) <= MAX_LINE else None
        if text is None or not text.startswith(">"):
            self.broken += 1
            return seal("<- err crc")
        words = text[1:].split()
        if len(words) < 2:
            return seal("<- err syntax")
        seq = words[0]
        try:
            answer = self._execute(words[1], words[2:])
        except (ValueError, IndexError):
            answer = "err syntax"
        return seal("<%s %s" % (seq, answer))  # MicroPython has no f-strings in all builds

    def _execute(self, verb, args):
        player = self.player
        if verb == "hello":
            return "ok tfm-harness-pico %d uid=%s capacity=%d" % (VERSION, self.uid, _player.CAPACITY)
        if verb == "set":
            values = self._sample(args)
            if values is None:
                return "err range"
            player.stop()
            player.set(values[0], values[1], values[2], values[3])
            return "ok"
        if verb == "load":
            values = self._sample(args[1:])
            if values is None:
                return "err range"
            return "ok" if player.load(int(args[0]), values[0], values[1], values[2], values[3]) else "err full"
        if verb == "play":
            return "ok" if player.play(int(args[0])) else "err empty"
        if verb == "stop":
            player.stop()
            return "ok"
        if verb == "served":
            return self._served(int(args[0]), int(args[1]))
        if verb == "fault":
            modes = {"none": _player.NONE, "absent": _player.ABSENT, "stuck": _player.STUCK}
            if args[0] not in ("mag", "temp") or args[1] not in modes:
                return "err syntax"
            return "ok" if self.bus.fault(args[0], modes[args[1]]) else "err unsupported"
        if verb == "stats":
            return "ok served=%d position=%d broken=%d" % (player.served_count, player.position, self.broken)
        return "err verb"

    @staticmethod
    def _sample(args):
        if len(args) != 4:
            raise ValueError
        values = [int(word) for word in args]
        for value in values[:3]:
            if not -32768 <= value <= 32767:
                return None
        return values if -2048 <= values[3] <= 2047 else None

    def _served(self, first, count):
        player = self.player
        oldest = max(0, player.served_count - _player.SERVED)
        if count > 8 or first < oldest or first + count > player.served_count:
            return "err range"
        out = []
        for index in range(first, first + count):
            base = 4 * (index % _player.SERVED)
            out.append("%d,%d,%d,%d" % tuple(player.served[base : base + 4]))
        return "ok " + " ".join(out)
