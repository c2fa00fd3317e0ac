"""Parsing .tflite files: what they say, and what damaged ones cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfm_harness.errors import ConfigError
from tfm_harness.parity import small_models, testkit
from tfm_harness.parity.model_parser import parse_model
from tfm_harness.parity.model_rewriting import expose_tensors

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "fw_builds" / "reference" / "models"


def test_classifier_is_described() -> None:
    info = parse_model(small_models.classifier(), name="classifier")
    assert [op.name for op in info.operators] == [
        "CONV_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
        "FULLY_CONNECTED",
        "SOFTMAX",
    ]
    assert [t.shape for t in info.inputs] == [(1, 1, 96, 2)]
    assert [t.dtype for t in info.outputs] == ["int8", "int8"]
    assert info.input_bytes == 192
    assert info.output_bytes == 20
    producer = info.producer(info.outputs[1].index)
    assert producer is not None
    assert producer.name == "SOFTMAX"
    assert info.outputs[1].quantisation is not None
    assert info.outputs[1].quantisation.zero_points == (-128,)


def test_per_channel_scales_are_kept() -> None:
    info = parse_model(small_models.classifier())
    weights = info.tensors[info.operators[0].inputs[1]]
    assert weights.constant
    assert weights.quantisation is not None
    assert len(weights.quantisation.scales) == 4
    assert not weights.quantisation.per_tensor


def test_pack_and_unpack_interleave_tensors_by_inference() -> None:
    info = parse_model(small_models.two_in_two_out())
    left = np.arange(12, dtype=np.int8).reshape(2, 1, 6)
    packed = info.pack_inputs([left, left + 50])
    assert packed == bytes([0, 1, 2, 3, 4, 5, 50, 51, 52, 53, 54, 55, 6, 7, 8, 9, 10, 11, 56, 57, 58, 59, 60, 61])
    first, second = info.unpack_outputs(bytes(range(20)), 2)
    assert first[1].ravel().tolist() == [10, 11, 12, 13, 14, 15]
    assert second[0].ravel().tolist() == [6, 7, 8, 9]
    with pytest.raises(ValueError, match="19 bytes of output, expected 2 x 10"):
        info.unpack_outputs(bytes(19), 2)


def test_int16_outputs_are_little_endian() -> None:
    info = parse_model(small_models.dense("int16", units=2))
    (out,) = info.unpack_outputs(b"\x01\x00\xff\x7f", 1)
    assert out.ravel().tolist() == [1, 32767]


def test_dynamic_batch_is_taken_at_its_static_size() -> None:
    builder = testkit.ModelBuilder()
    source = builder.tensor([1, 4], "float32", signature=[-1, 4])
    builder.inputs = [source]
    builder.outputs = [builder.dense(source, 2, np.random.default_rng(1))]
    assert parse_model(builder.build()).notes == ("input 0: dynamic batch dimension taken as 1",)


@pytest.mark.parametrize(("shape", "signature"), [([1, 4], [1, -1]), ([1, 0], None), ([-1, 4], None)])
def test_dynamic_shape_is_refused_with_words(shape: list[int], signature: list[int] | None) -> None:
    builder = testkit.ModelBuilder()
    source = builder.tensor(shape, "float32", signature=signature)
    out = builder.tensor([1, 2], "float32")
    builder.op("RESHAPE", [source], [out])
    builder.inputs, builder.outputs = [source], [out]
    with pytest.raises(ConfigError) as caught:
        parse_model(builder.build(), name="moving")
    assert caught.value.kind == "model-dynamic-shape"
    assert "model moving: input 0 (t0) has a dynamic shape" in str(caught.value)
    assert caught.value.hint


def test_exposed_tensors_become_the_outputs() -> None:
    model = small_models.classifier()
    info = parse_model(expose_tensors(model, [3, 8, 12]))
    assert [t.index for t in info.outputs] == [3, 8, 12]
    assert info.operators == parse_model(model).operators
    with pytest.raises(IndexError, match=r"tensors \[99\] of 13"):
        expose_tensors(model, [99])


def test_custom_operator_is_named() -> None:
    builder = testkit.ModelBuilder()
    source = builder.tensor([1, 4])
    out = builder.tensor([1, 4])
    builder.op("EthosU", [source], [out])
    builder.inputs, builder.outputs = [source], [out]
    assert parse_model(builder.build()).operators[0].name == "EthosU"


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x00" * 100, b"\x18\x00\x00\x00TFL2" + b"\x00" * 50, b"int main"])
def test_not_a_model_says_so(data: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(data, name="junk")
    assert caught.value.kind == "model-malformed"


def test_every_truncation_is_an_error_or_a_model() -> None:
    model = small_models.dense()
    for length in range(0, len(model), 7):
        try:
            parse_model(model[:length])
        except ConfigError:
            continue


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(8, 900), st.integers(0, 255)), min_size=1, max_size=12))
def test_damaged_models_cost_only_our_own_error(changes: list[tuple[int, int]]) -> None:
    model = bytearray(small_models.two_in_two_out())
    for at, value in changes:
        model[at % len(model)] = value
    model[4:8] = b"TFL3"
    try:
        info = parse_model(bytes(model))
    except ConfigError:
        return
    assert info.inputs
    assert info.outputs


def test_models_of_the_reference_firmware_parse() -> None:
    found = sorted(MODELS.glob("*.tflite"))
    if not found:
        pytest.skip("fw_builds/reference/models holds no .tflite file")
    for path in found:
        info = parse_model(path.read_bytes(), name=path.stem)
        assert all(t.dtype == "int8" for t in (*info.inputs, *info.outputs))
        assert info.operators


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://hawser.github.com/spec/v1\noid sha256:00\nsize 12\n", "git lfs pull"),
        (b"../.git/annex/objects/xx/yy/SHA256E-s1--ab.tflite", "git annex get"),
        (b"outs:\n- md5: a304afb96060aad90176268345e10355\n  size: 37\n  path: m.tflite\n", "dvc pull"),
        (b"../models/sine.tflite", "a path alone"),
        (b"<!-- saved -->\n<!DOCTYPE html><html>", "HTML page"),
        (b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>', "storage server"),
        (b"404: Not Found", "server's answer"),
        (b"Entry not found", "server's answer"),
        (b"#include <stdint.h>\nalignas(8) const unsigned char g_model[] = {0x1c, 0x00};\n", "a C array"),
        (b"HAAAAFRGTDMUACAAHAAYABQAEAAMAAAACAAEABQAAAAcAAAAkAAAAOgAAADcAwAA7AMAAA\n", "base64"),
        (b"\x1f\x8b\x08\x00" + bytes(20), "gzip"),
        (bytes(257) + b"ustar\x0000", "tar archive"),
        (b"\x30\x00\x00\x00ET12" + bytes(20), "ExecuTorch"),
        (b"\x20\x00\x00\x00TOSA" + bytes(20), "TOSA"),
        (b"\x3d\xb8\xf3\x96" + bytes(28), "MCUboot"),
        (b"\x00\x10\x00\x00\x1c\x00\x00\x00TFL3" + bytes(20), "size in front"),
    ],
)
def test_a_file_that_is_no_model_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(data)
    assert words in str(caught.value)
