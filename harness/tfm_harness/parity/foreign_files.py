"""Identifies files that are given as a .tflite model by mistake, and says what to do."""

from __future__ import annotations

from typing import Final

__all__ = ["what_it_is"]

_UNPACK: Final = "unpack it"
_CONVERT: Final = "convert it to .tflite"
_OTHER_FILES: Final = (
    (0, b"PK\x03\x04", f"a zip archive (a .keras file?): unpack it or {_CONVERT}"),
    (0, b"\x89HDF", f"an HDF5 file (.h5): {_CONVERT}"),
    (0, b"\x7fELF", "an ELF file: give the model that was built into it"),
    (0, b"\x1f\x8b", f"compressed with gzip: {_UNPACK}"),
    (0, b"BZh", f"compressed with bzip2: {_UNPACK}"),
    (0, b"\xfd7zXZ", f"compressed with xz: {_UNPACK}"),
    (0, b"\x28\xb5\x2f\xfd", f"compressed with zstd: {_UNPACK}"),
    (257, b"ustar", f"a tar archive: {_UNPACK}"),
    (0, b"GGUF", f"a GGUF model: {_CONVERT}"),
    (8, b'{"', f"a safetensors file: {_CONVERT}"),
    (0, b"\x93NUMPY", "a NumPy array: give the model, not its weights or inputs"),
    (0, b"\x3d\xb8\xf3\x96", "a signed MCUboot image: give the model inside, as it was before imgtool"),
    (4, b"ET12", f"an ExecuTorch program (.pte): {_CONVERT}"),
    (4, b"TOSA", f"a TOSA FlatBuffer: {_CONVERT}"),
    (4, b"CIR0", f"a Circle model: {_CONVERT}"),
    (8, b"TFL3", "a TFLite model with its size in front: leave out the first four bytes"),
)
"""The offset of a mark, the mark, and the kind of file with advice."""


def what_it_is(data: bytes) -> str:
    """The kind of a file that is no model, with advice; empty when it is not known."""
    from tfm_harness.encodings import plain_text
    from tfm_harness.verify.forms import name_of_text

    text = plain_text(data[:4096])
    if text is not None:
        return f"the file is {name_of_text(text)}"
    return next((f"the file is {name}" for at, mark, name in _OTHER_FILES if data.startswith(mark, at)), "")
