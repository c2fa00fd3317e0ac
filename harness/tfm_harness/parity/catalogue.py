"""Every check of numeric parity, declared once."""

from __future__ import annotations

from tfm_harness.errors import Responsibility
from tfm_harness.findings import Catalogue, Check, Severity

__all__ = [
    "ALL",
    "BIT_EXACT",
    "COMPILED_PROVEN",
    "COMPILED_STREAM",
    "CONSTANT_INPUTS",
    "DISTINCT_OUTPUTS",
    "EDGES",
    "FIRST_OP",
    "INPUT_PATH",
    "MODEL_GRAPH",
    "OUTPUT_FORM",
    "PRINTED_EXACT",
    "PRINTED_RESOLUTION",
    "SATURATED_OUTPUTS",
    "SOMETHING_COMPARED",
    "TOLERANCE_USED",
    "VELA_REFERENCE",
    "WITHIN_TOLERANCE",
]

ALL = Catalogue("parity")

SOMETHING_COMPARED = ALL.declare(
    Check(
        id="parity.something-compared",
        title="at least one output element was compared",
        requirement="tfm-harness: a comparison of nothing proves nothing",
        waivable=False,
    )
)
OUTPUT_FORM = ALL.declare(
    Check(
        id="parity.output-form",
        title="the device's outputs have the reference's count, shape and type",
        requirement="TFLite schema: Tensor.shape, Tensor.type of the subgraph's outputs",
        waivable=False,
    )
)
BIT_EXACT = ALL.declare(
    Check(
        id="parity.bit-exact",
        title="every output element equals the reference's bit for bit",
        requirement="TFLM evaluate_test practice: assert_array_equal against BUILTIN_REF",
    )
)
WITHIN_TOLERANCE = ALL.declare(
    Check(
        id="parity.within-tolerance",
        title="differences stay within the named tolerance of the output's op class",
        requirement="build YAML: parity.tolerances",
    )
)
TOLERANCE_USED = ALL.declare(
    Check(
        id="parity.tolerance-used",
        title="the outputs are bit-exact and need no named tolerance",
        requirement="tfm-harness: a tolerance never widens silently",
        dev=Severity.INFO,
        validation=Severity.INFO,
        production=Severity.INFO,
    )
)
FIRST_OP = ALL.declare(
    Check(
        id="parity.op-outputs",
        title="each operator's output on the device equals the reference's",
        requirement="TFLM layer_by_layer_debugger practice: reference is BUILTIN_REF",
    )
)
INPUT_PATH = ALL.declare(
    Check(
        id="parity.input-path",
        title="outputs that differ are not those of another input: the one before, or one changed on its way",
        requirement="RFC 9334 s.8.1; tfm-harness: a verdict points to the right place",
    )
)
MODEL_GRAPH = ALL.declare(
    Check(
        id="parity.model-graph",
        title="the device executes the operators of the model under test, in order",
        requirement="TFLite schema: SubGraph.operators",
        waivable=False,
    )
)
DISTINCT_OUTPUTS = ALL.declare(
    Check(
        id="parity.distinct-outputs",
        title="the inputs drive the model to enough distinct outputs",
        requirement="tfm-harness: parity over a handful of outputs is vacuous",
        dev=Severity.WARNING,
        responsibility=Responsibility.CONFIGURATION,
    )
)
SATURATED_OUTPUTS = ALL.declare(
    Check(
        id="parity.saturated-outputs",
        title="not most output vectors sit entirely at the ends of the type's range",
        requirement="tfm-harness: saturation hides differences",
        dev=Severity.WARNING,
        responsibility=Responsibility.CONFIGURATION,
    )
)
CONSTANT_INPUTS = ALL.declare(
    Check(
        id="parity.constant-inputs",
        title="each input tensor changes from vector to vector",
        requirement="tfm-harness: a constant input exercises nothing",
        dev=Severity.WARNING,
        responsibility=Responsibility.CONFIGURATION,
    )
)
COMPILED_STREAM = ALL.declare(
    Check(
        id="parity.compiled-stream",
        title="a model compiled for an Ethos-U has the commands and weights that Vela makes of its reference",
        requirement="Vela: the same version, model and options give the same output",
    )
)
COMPILED_PROVEN = ALL.declare(
    Check(
        id="parity.compiled-proven",
        title="a compiled model was made again from its reference",
        requirement="tfm-harness: a reference that belongs to another model judges nothing",
        dev=Severity.INFO,
        validation=Severity.WARNING,
        production=Severity.WARNING,
    )
)
VELA_REFERENCE = ALL.declare(
    Check(
        id="parity.vela-reference",
        title="Vela is tested against the kernels that judge the device",
        requirement="Vela README: bit exact with TFLite's reference kernels, version by version",
        dev=Severity.INFO,
        validation=Severity.INFO,
        production=Severity.INFO,
    )
)
PRINTED_EXACT = ALL.declare(
    Check(
        id="parity.printed-exact",
        title="every printed result is the reference's value, to the decimals that the firmware prints",
        requirement="MLPerf Tiny: m-results, %0.3f; tfm-harness: one rule of rounding explains every result",
    )
)
PRINTED_RESOLUTION = ALL.declare(
    Check(
        id="parity.printed-resolution",
        title="results come as numbers, not as text with a few decimals, which limit the precision of the verdict",
        requirement="tfm-harness: a verdict says how far it sees",
        dev=Severity.INFO,
        validation=Severity.INFO,
        production=Severity.INFO,
    )
)
EDGES = ALL.declare(
    Check(
        id="parity.edges-reached",
        title="the inputs reach every edge of the arithmetic: ties, clamps, zero points, wide sums, softmax's ends",
        requirement="tfm-harness: a kernel that is wrong at an edge is seen only by inputs that reach it",
        dev=Severity.INFO,
        validation=Severity.INFO,
        production=Severity.INFO,
    )
)
