from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from image_embeddings.encoders import onnx_network
from image_embeddings.encoders.onnx_network import Network, NetworkStore, export
from image_embeddings.errors import ModelUnavailableError


@pytest.fixture(scope="module")
def module():
    """Two linear layers with a function between them that is not linear."""
    import torch
    from torch import nn

    class Mixture(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(64, 128), nn.Linear(128, 16)

        def forward(self, x):
            return self.second(torch.sigmoid(self.first(x.unsqueeze(1)))).squeeze(1)

    torch.manual_seed(0)
    return Mixture().eval()


@pytest.fixture
def make(module):
    """Write the module to a file, and count how often."""
    import torch

    def write(file):
        write.times += 1
        export(module, example=torch.zeros(2, 64), file=file)

    write.times = 0
    return write


def full_disk(*args, **kwargs):
    raise OSError(28, "No space left on device")


def rows(count):
    return np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)


def by_torch(module, batch):
    import torch

    with torch.inference_mode():
        return module(torch.from_numpy(batch)).numpy()


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_network_computes_the_same_as_torch_for_batches_of_any_size(module, make, tmp_path, count):
    network = NetworkStore(tmp_path).open("mixture", make)
    np.testing.assert_allclose(network(rows(count)), by_torch(module, rows(count)), atol=1e-5)


def test_calls_from_many_threads_do_not_mix(module, make, tmp_path):
    network = NetworkStore(tmp_path).open("mixture", make)
    batches = [rows(count) for count in range(1, 40)]
    with ThreadPoolExecutor(8) as pool:
        for batch, found in zip(batches, pool.map(network, batches), strict=True):
            np.testing.assert_allclose(found, by_torch(module, batch), atol=1e-5)


def test_a_network_is_made_once_and_nothing_else_is_left(make, tmp_path):
    for _ in range(3):
        NetworkStore(tmp_path / "new" / "folder").open("mixture", make)(rows(1))
    assert make.times == 1
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["mixture.lock", "mixture.onnx"]


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


def test_an_existing_network_is_used_from_a_folder_that_cannot_be_written_to(make, tmp_path, monkeypatch):
    NetworkStore(tmp_path).open("mixture", make)
    monkeypatch.setattr(Path, "mkdir", full_disk)
    monkeypatch.setattr(onnx_network, "FileLock", full_disk)
    assert NetworkStore(tmp_path).open("mixture", make)(rows(1)).shape == (1, 16)
    assert make.times == 1


def test_on_a_full_disk_a_network_is_made_in_another_folder(make, tmp_path, monkeypatch):
    def write(file):
        if file.is_relative_to(tmp_path):
            full_disk()
        make(file)

    assert NetworkStore(tmp_path).open("mixture", write)(rows(1)).shape == (1, 16)
    assert list(tmp_path.glob("*.onnx")) == list(tmp_path.glob("*.making")) == []


@pytest.mark.parametrize("error", [RuntimeError("no such operator"), OSError(28, "No space left on device")])
def test_a_network_that_cannot_be_made_is_an_error_that_leaves_nothing_behind(tmp_path, error):
    def fail(file):
        file.write_bytes(b"half of it")
        raise error

    with pytest.raises(ModelUnavailableError, match=r"A network for the CPU cannot be made of the model \(.*(No|no) s"):
        NetworkStore(tmp_path).open("mixture", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["mixture.lock"]


def test_the_half_made_network_of_a_killed_process_is_removed(make, tmp_path):
    (tmp_path / "mixture.making").mkdir()
    (tmp_path / "mixture.making" / "mixture.onnx").write_bytes(b"half of it")
    NetworkStore(tmp_path).open("mixture", make)
    assert list(tmp_path.glob("*.making")) == []


def test_two_processes_that_need_the_same_network_make_it_once(make, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: NetworkStore(tmp_path).open("mixture", make), range(4)))
    assert make.times == 1
    assert all(network(rows(2)).shape == (2, 16) for network in networks)
