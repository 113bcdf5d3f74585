"""Networks on the CPU by ONNX Runtime: made of torch modules once, kept as files, faster there (docs/benchmarks.md)."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from image_embeddings.encoders.quiet import quiet

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

Array = NDArray[np.float32]

OPSET = 17
_INPUT, _OUTPUT = "input", "output"


class Network:
    """A network in a file, run by one core per call: calls from several threads run side by side."""

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: Array) -> Array:
        """What the network makes of `batch`, shape (n, ...) -> (n, d); n ≥ 1."""
        return np.asarray(self._session.run([_OUTPUT], {_INPUT: batch})[0], np.float32)


class NetworkStore:
    """A folder of networks that were made once; without a folder, or where it cannot be used, each is made anew."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def open(self, name: str, make: Callable[[Path], None]) -> Network:
        """The network of that name; `make` writes it to a file where it is not there, or is damaged."""
        with self._usable_folder() as place:
            file = Path(place, f"{name}.onnx")
            kept = _intact(file)
            if kept:
                return kept
            with tempfile.TemporaryDirectory(dir=place) as workshop:
                new = Path(workshop, file.name)
                make(new)
                network = Network(new)
                new.replace(file)
                return network

    def _usable_folder(self) -> AbstractContextManager[str]:
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=self._folder).close()
            except OSError:  # read-only, as DATA_DIR may be for a web app
                pass
            else:
                return nullcontext(str(self._folder))
        return tempfile.TemporaryDirectory()


def _intact(file: Path) -> Network | None:
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    damaged = (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
        errors.RuntimeException,
    )
    try:
        return Network(file) if file.exists() else None
    except damaged:
        return None


def export(module: torch.nn.Module, *, example: torch.Tensor, file: Path) -> None:
    """Writes a module that takes and gives one tensor to `file`; the first dimension of both is the batch.

    Raises:
        torch.onnx.OnnxExporterError: the module does something that ONNX cannot.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of tracing: shapes are fixed but for the batch
        torch.onnx.export(
            module,
            (example,),
            str(file),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_axes={_INPUT: {0: "batch"}, _OUTPUT: {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )


def quantize(source: Path, target: Path, *, keep: Collection[str] = ()) -> None:
    """Writes the network with its matrix products in int8: weights by column, activations by what each batch holds.

    Products whose name contains one of `keep` stay in float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kept = [name for name in _node_names(onnx.load(source)) if any(part in name for part in keep)]
    with quiet(""):  # it advises a preparation that changes nothing here
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
        )


def _node_names(model: ModelProto) -> list[str]:
    return [node.name for node in model.graph.node]
