"""Networks of ONNX Runtime whose products with weights are in int8.

Weights get one scale for each column, once. Activations get one scale for each row, whenever the network runs; a row is
a token of one photo. So no photo depends on the others of its batch, and large values in one row cost the others no
accuracy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

LARGEST = 127  # of int8; weights and activations lie symmetrically about zero
_ONE, _STEP, _LEAST, _ZERO = "int8/one", "int8/step", "int8/least", "int8/zero"


def quantize(source: Path, target: Path, *, keep: Collection[str] = ()) -> None:
    """Write the network to `target` with its products of weights in int8.

    Products whose name contains one of `keep` stay in float32.

    Raises:
        ValueError: no product has such a name.
    """
    import onnx

    model = onnx.load(source)
    weights = _weights(model.graph)
    products = [node for node in model.graph.node if _has_weights(node, weights)]
    quantized = [node for node in products if not any(part in node.name for part in keep)]
    if keep and len(quantized) == len(products):
        raise ValueError(f"no product is called {' or '.join(keep)}")
    _replace(model.graph, quantized)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, target)


def _weights(graph: GraphProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _has_weights(node: NodeProto, weights: dict[str, TensorProto]) -> bool:
    """Return whether a node multiplies rows of activations by a matrix of weights."""
    return node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2


def _replace(graph: GraphProto, products: Collection[NodeProto]) -> None:
    """Put integer products in place of these; activations that several of them multiply are rounded once."""
    from onnx import numpy_helper

    outputs = {node.output[0] for node in products}
    nodes: list[NodeProto] = []
    tensors = _weights(graph) | {tensor.name: tensor for tensor in _constants()}
    rounded: set[str] = set()  # activations
    for node in graph.node:
        if node.output[0] not in outputs:
            nodes.append(node)
            continue
        activations, weights = node.input
        if activations not in rounded:
            rounded.add(activations)
            nodes.extend(_round_rows(activations))
        if f"{weights}/int8" not in tensors:
            columns, scales = _round_columns(numpy_helper.to_array(tensors[weights]))
            tensors[f"{weights}/int8"] = numpy_helper.from_array(columns, f"{weights}/int8")
            tensors[f"{weights}/scale"] = numpy_helper.from_array(scales, f"{weights}/scale")
        nodes.extend(_multiply(node))
    needed = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in tensors.items() if name in needed)


def _constants() -> Iterator[TensorProto]:
    from onnx import numpy_helper

    yield numpy_helper.from_array(np.array(1, np.float32), _ONE)
    yield numpy_helper.from_array(np.array(1 / LARGEST, np.float32), _STEP)
    yield numpy_helper.from_array(np.array(1e-12, np.float32), _LEAST)  # so that a row of zeros is not divided by zero
    yield numpy_helper.from_array(np.array(128, np.uint8), _ZERO)  # fast kernels take activations without a sign


def _round_columns(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, shape (k, n), in int8, and the scale of each column, shape (n,)."""
    scales = (np.abs(weights).max(axis=0, initial=0) / LARGEST).astype(np.float32)
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales


def _round_rows(name: str) -> Iterator[NodeProto]:
    """Yield the nodes that round activations, shape (..., k), to whole numbers, and find the scale of each row."""
    from onnx.helper import make_node

    yield make_node("Abs", [name], [f"{name}/abs"])
    yield make_node("ReduceMax", [f"{name}/abs"], [f"{name}/max"], axes=[-1], keepdims=1)
    yield make_node("Max", [f"{name}/max", _LEAST], [f"{name}/range"])
    yield make_node("Mul", [f"{name}/range", _STEP], [f"{name}/scale"])
    yield make_node("Div", [name, f"{name}/scale"], [f"{name}/scaled"])
    yield make_node("QuantizeLinear", [f"{name}/scaled", _ONE, _ZERO], [f"{name}/int8"])


def _multiply(product: NodeProto) -> Iterator[NodeProto]:
    """Yield the nodes that multiply the whole numbers, and then by both scales."""
    from onnx.helper import make_node

    (activations, weights), (output,) = product.input, product.output
    yield make_node(
        "MatMulIntegerToFloat",
        [f"{activations}/int8", f"{weights}/int8", _ONE, f"{weights}/scale", _ZERO],
        [f"{output}/unscaled"],
        domain="com.microsoft",
        name=product.name,
    )
    yield make_node("Mul", [f"{output}/unscaled", f"{activations}/scale"], [output])
