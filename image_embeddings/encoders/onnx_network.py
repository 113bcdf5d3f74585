"""Networks on the CPU by ONNX Runtime: made once from torch modules, kept as files, and faster (docs/benchmarks.md)."""

from __future__ import annotations

import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from image_embeddings.errors import ModelUnavailableError, first_line

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]

OPSET = 17
_log = logging.getLogger(__name__)
_INPUT, _OUTPUT = "input", "output"


class Network:
    """A network in a file; each call runs on one core, so calls from several threads run side by side."""

    def __init__(self, file: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: Array) -> Array:
        """Return the network's output for `batch`, shape (n, ...) -> (n, d); n ≥ 1."""
        return np.asarray(self._session.run([_OUTPUT], {_INPUT: batch})[0], np.float32)


class NetworkStore:
    """A folder of networks that were made once; each network is made anew if there is no folder that can be used."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether the network of that name was made before."""
        return self._folder is not None and (self._folder / f"{name}.onnx").is_file()

    def open(self, name: str, make: Callable[[Path], None]) -> Network:
        """Return the network of that name; `make` writes it to a file if it is missing or damaged.

        Raises:
            ModelUnavailableError: it cannot be made.
        """
        from google.protobuf.message import Error as ProtobufError

        kept = _load_intact(self._folder / f"{name}.onnx") if self._folder else None
        if kept:
            return kept
        try:
            return self._make_and_keep(name, make) or _make_in_memory(make)
        except (RuntimeError, ValueError, OSError, ProtobufError, *_network_errors()) as error:
            raise ModelUnavailableError(
                f"A network for the CPU cannot be made of the model ({first_line(error)})."
            ) from error

    def _make_and_keep(self, name: str, make: Callable[[Path], None]) -> Network | None:
        """Make the network, keep it in the folder and return it; return None if the folder cannot be used."""
        if not self._folder:
            return None
        file, workshop = self._folder / f"{name}.onnx", self._folder / f"{name}.making"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / f"{name}.lock"):
                kept = _load_intact(file)  # another process has made it meanwhile
                if kept:
                    return kept
                shutil.rmtree(workshop, ignore_errors=True)  # left by a process that was killed
                workshop.mkdir()
                try:
                    make(workshop / file.name)
                    network = Network(workshop / file.name)
                    (workshop / file.name).replace(file)
                    return network
                finally:
                    shutil.rmtree(workshop, ignore_errors=True)
        except OSError as error:  # read-only, as DATA_DIR may be for a web app, or the disk is full
            _log.info("%s cannot be used: %s", self._folder, error.strerror or error)
            return None


def _make_in_memory(make: Callable[[Path], None]) -> Network:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "network.onnx")
        make(file)
        return Network(file)


def _load_intact(file: Path) -> Network | None:
    try:
        return Network(file) if file.is_file() else None
    except _network_errors():
        return None


def _network_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    return (
        errors.Fail,
        errors.InvalidArgument,
        errors.InvalidGraph,
        errors.InvalidProtobuf,
        errors.NotImplemented,
        errors.RuntimeException,
    )


def cores() -> int:
    """Return how many cores this process may use."""
    import joblib

    return int(joblib.cpu_count())


def export(module: torch.nn.Module, *, example: torch.Tensor, file: Path) -> None:
    """Write a module that takes and returns one tensor to `file`; the first dimension of both tensors is the batch.

    Raises:
        torch.onnx.OnnxExporterError: the module does something that ONNX cannot.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns that shapes are fixed; only the batch varies here
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
