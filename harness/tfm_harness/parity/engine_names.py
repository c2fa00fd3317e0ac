"""Reference engines by name, in the order in which they are tried, and how each is installed."""

from __future__ import annotations

__all__ = ["DEFAULT_ENGINES", "INSTALL", "ONNX_ENGINES", "SECOND_ORACLES"]

DEFAULT_ENGINES = ("tflite-runtime", "ai-edge-litert", "tflite-micro", "numpy-reference")
"""First oracle: the first of these that is installed and passes its self-test. The last one always does."""
SECOND_ORACLES = ("tflite-micro", "numpy-reference")
"""Second oracle: the first of these that is installed and is not the first oracle."""

ONNX_ENGINES = ("onnx-reference", "onnxruntime")
"""First and second oracle of ONNX models, see `tfm_harness.parity.onnx`."""

INSTALL = {
    "tflite-runtime": "pip install 'tflite-runtime==2.14.0' 'numpy<2', which needs Python 3.11 or older;"
    " any other reference serves as well: leave `engine` out",
    "ai-edge-litert": "pip install 'ai-edge-litert==1.2.0', which has wheels for Python 3.9 to 3.12;"
    " any other reference serves as well: leave `engine` out",
    "tflite-micro": "pip install --pre tflite-micro, which has wheels for x86-64 Linux;"
    " any other reference serves as well: leave `engine` out",
    "onnx-reference": "pip install 'tfm-harness[onnx]'",
    "onnxruntime": "pip install 'tfm-harness[onnx]'",
    "numpy-reference": "it comes with tfm-harness: install tfm-harness for that Python",
}
"""Hints for a missing engine. Each one also says how to go on without it."""
