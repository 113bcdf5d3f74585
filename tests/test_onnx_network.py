from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from image_embeddings.encoders.onnx_network import Network, NetworkStore, export, quantize


class Mixture(nn.Module):
    """Two linear layers with something between them that is not."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 128), nn.Linear(128, 16)

    def forward(self, x):
        return self.second(torch.sigmoid(self.first(x.unsqueeze(1)))).squeeze(1)


@pytest.fixture(scope="module")
def module():
    torch.manual_seed(0)
    return Mixture().eval()


@pytest.fixture
def make(module):
    """Writes the module to a file, and counts how often."""

    def write(file):
        write.times += 1
        export(module, example=torch.zeros(2, 64), file=file)

    write.times = 0
    return write


def rows(count):
    return np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)


def by_torch(module, batch):
    with torch.inference_mode():
        return module(torch.from_numpy(batch)).numpy()


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_network_gives_what_torch_does_for_batches_of_any_size(module, make, tmp_path, count):
    network = NetworkStore(tmp_path).open("mixture", make)
    np.testing.assert_allclose(network(rows(count)), by_torch(module, rows(count)), atol=1e-5)


def test_calls_from_many_threads_keep_to_themselves(module, make, tmp_path):
    network = NetworkStore(tmp_path).open("mixture", make)
    batches = [rows(count) for count in range(1, 40)]
    with ThreadPoolExecutor(8) as pool:
        for batch, found in zip(batches, pool.map(network, batches), strict=True):
            np.testing.assert_allclose(found, by_torch(module, batch), atol=1e-5)


def test_a_network_is_made_once_and_nothing_else_is_left(make, tmp_path):
    for _ in range(3):
        NetworkStore(tmp_path / "new" / "folder").open("mixture", make)(rows(1))
    assert make.times == 1
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["mixture.onnx"]


@pytest.mark.parametrize("content", [b"", b"no network", None], ids=["empty", "something else", "cut off"])
def test_a_damaged_network_is_made_anew(module, make, tmp_path, content):
    store, file = NetworkStore(tmp_path), tmp_path / "mixture.onnx"
    store.open("mixture", make)
    file.write_bytes(file.read_bytes()[:2000] if content is None else content)
    np.testing.assert_allclose(store.open("mixture", make)(rows(3)), by_torch(module, rows(3)), atol=1e-5)
    assert make.times == 2
    assert Network(file)(rows(1)).shape == (1, 16)


def test_without_a_folder_that_can_be_used_networks_are_made_each_time(make, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for store in (NetworkStore(), NetworkStore(tmp_path / "file" / "below")):
        assert store.open("mixture", make)(rows(1)).shape == (1, 16)
    assert make.times == 2


def test_one_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    def fail(file):
        file.write_bytes(b"half of it")
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        NetworkStore(tmp_path).open("mixture", fail)
    assert list(tmp_path.iterdir()) == []


def test_quantized_products_are_int8_but_for_those_that_are_kept(module, make, tmp_path):
    make(tmp_path / "float32.onnx")
    quantize(tmp_path / "float32.onnx", tmp_path / "int8.onnx")
    quantize(tmp_path / "float32.onnx", tmp_path / "mixed.onnx", keep=["/second/"])

    def products(name):
        nodes = onnx.load(tmp_path / name).graph.node
        return [node.op_type for node in nodes if node.op_type.startswith("MatMul")]

    assert products("int8.onnx") == ["MatMulInteger", "MatMulInteger"]
    assert products("mixed.onnx") == ["MatMulInteger", "MatMul"]
    expected = by_torch(module, rows(20))
    for name in ("int8.onnx", "mixed.onnx"):
        found = Network(tmp_path / name)(rows(20))
        assert 0 < np.abs(found - expected).max() < 0.02
