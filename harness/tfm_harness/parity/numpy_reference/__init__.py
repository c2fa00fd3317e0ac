"""The harness' own reference in numpy, for Pythons and machines on which no interpreter can be installed.

Written from TensorFlow Lite's quantisation specification (8-bit quantisation; rounding and fixed-point rules of
gemmlowp), independent of any firmware. It runs int8 models of the operators in `OPERATORS` and refuses every other
model. Property tests prove it bit for bit against tflite-runtime 2.14 with ``BUILTIN_REF``.
"""
