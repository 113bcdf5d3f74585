"""Products with weights in int8: a row depends on no other row, and the error is no larger than with other tools."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from image_embeddings.encoders.onnx_int8 import quantize
from image_embeddings.encoders.onnx_network import Network

WIDTH, TOKENS = 64, 5
RNG = np.random.default_rng(0)
WEIGHTS = {name: RNG.normal(size=(WIDTH, WIDTH)).astype(np.float32) for name in ("one", "two")}


def batch(count, *, seed=1):
    return np.random.default_rng(seed).normal(size=(count, TOKENS, WIDTH)).astype(np.float32)


def write_network(file, *nodes, weights=WEIGHTS):
    """Write a network from `input` to `output`; `nodes` are pairs of a name and its operands, which are multiplied."""
    shape = ["batch", TOKENS, WIDTH]
    graph = helper.make_graph(
        [helper.make_node("MatMul", operands, [name], name=f"/{name}/MatMul") for name, operands in nodes],
        "products",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), file)
    return file


@pytest.fixture
def source(tmp_path):
    return write_network(tmp_path / "float32.onnx", ("middle", ["input", "one"]), ("output", ["middle", "two"]))


@pytest.fixture
def run(tmp_path):
    """Quantize a network, and return what it makes of a batch."""

    def go(source, values, **options):
        quantize(source, tmp_path / "int8.onnx", **options)
        return Network(tmp_path / "int8.onnx")(values)

    return go


def products(file):
    nodes = onnx.load(file).graph.node
    return [node.op_type for node in nodes if node.op_type.startswith("MatMul")]


def error(found, expected):
    """Return the largest relative error of a row."""
    return (np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max()


def test_products_are_int8_except_those_to_keep(source, run, tmp_path):
    values = batch(7)
    exact = values @ WEIGHTS["one"] @ WEIGHTS["two"]
    both = error(run(source, values), exact)
    assert products(tmp_path / "int8.onnx") == ["MatMulIntegerToFloat"] * 2
    one = error(run(source, values, keep=["/output/"]), exact)
    assert products(tmp_path / "int8.onnx") == ["MatMulIntegerToFloat", "MatMul"]
    assert 1e-4 < one < both < 0.02
    with pytest.raises(ValueError, match="no product is called /third/"):
        quantize(source, tmp_path / "none.onnx", keep=["/third/"])


def test_a_photo_has_the_same_bits_alone_and_beside_others(source, run):
    values = batch(9)
    values[3] *= 1000
    together = run(source, values)
    for number in (0, 3, 8):
        np.testing.assert_array_equal(run(source, values[[number]]), together[[number]])


@pytest.mark.parametrize(("factor", "gain"), [(1, 1), (100, 10)])
def test_the_error_is_no_larger_than_that_of_one_scale_for_a_batch(source, run, tmp_path, factor, gain):
    """The other way is that of ONNX Runtime's own tool. A token with large values costs the others much there."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    values = batch(4)
    values[:, 0] *= factor
    exact = values @ WEIGHTS["one"] @ WEIGHTS["two"]
    quantize_dynamic(source, tmp_path / "tool.onnx", per_channel=True, weight_type=QuantType.QInt8)
    theirs = error(Network(tmp_path / "tool.onnx")(values), exact)
    assert error(run(source, values), exact) * gain < theirs * 1.05


def test_zeros_stay_zeros(run, tmp_path):
    weights = {"one": WEIGHTS["one"] * (np.arange(WIDTH) != 5)}
    source = write_network(tmp_path / "float32.onnx", ("output", ["input", "one"]), weights=weights)
    values = batch(3)
    values[1] = 0
    found = run(source, values)
    assert not found[1].any()
    assert not found[..., 5].any()
    assert error(found[[0, 2]], values[[0, 2]] @ weights["one"]) < 0.02


def test_activations_and_weights_of_several_products_are_rounded_once(run, tmp_path):
    nodes = [("middle", ["input", "one"]), ("other", ["input", "one"]), ("kept", ["middle", "one"])]
    shared = [*nodes, ("output", ["other", "turned"])]
    source = write_network(tmp_path / "float32.onnx", *shared, weights=WEIGHTS | {"turned": WEIGHTS["one"].T.copy()})
    found = run(source, batch(2), keep=["/kept/"])
    assert error(found, batch(2) @ WEIGHTS["one"] @ WEIGHTS["one"].T) < 0.02
    graph = onnx.load(tmp_path / "int8.onnx").graph
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) == 2  # of `input` and `other`
    names = {tensor.name for tensor in graph.initializer}
    assert {"one", "one/int8", "turned/int8"} <= names  # `kept` needs `one` as it is
    assert names.isdisjoint({"two", "turned"})


def test_products_of_two_activations_stay_as_they_are(run, tmp_path):
    square = np.eye(TOKENS, dtype=np.float32)[None]  # a constant of three dimensions
    source = write_network(
        tmp_path / "float32.onnx",
        ("mixed", ["square", "input"]),
        ("output", ["mixed", "one"]),
        weights=WEIGHTS | {"square": square},
    )
    values = batch(1)
    assert error(run(source, values), values @ WEIGHTS["one"]) < 0.02
    assert products(tmp_path / "int8.onnx") == ["MatMul", "MatMulIntegerToFloat"]
