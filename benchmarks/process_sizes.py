"""The memory, threads and open files of the processes of a server, by what they are for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Sizes:
    """Of all processes of a kind together."""

    processes: int = 0
    memory: float = 0.0  # MB: each process's own, and its share of what it shares (PSS; elsewhere than on Linux, USS)
    threads: int = 0
    descriptors: int = 0

    def __add__(self, other: "Sizes") -> "Sizes":
        """Return the sum."""
        return Sizes(
            self.processes + other.processes,
            self.memory + other.memory,
            self.threads + other.threads,
            self.descriptors + other.descriptors,
        )


def sizes_of(process: psutil.Process) -> Sizes:
    """Return the sizes of a process; none of one that has ended."""
    try:
        memory = process.memory_full_info()
        own = getattr(memory, "pss", memory.uss)
        return Sizes(1, own / 1e6, process.num_threads(), process.num_fds())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return Sizes()


def sizes_by_kind(server: psutil.Process, node: psutil.Process) -> Mapping[str, Sizes]:
    """Return the sizes of gunicorn, its workers, their children and the node.

    `server` is gunicorn's first process, which starts the workers. Their children decode photos.
    """
    workers = _children(server)
    kinds: Mapping[str, Iterable[psutil.Process]] = {
        "gunicorn": [server],
        "workers": workers,
        "children": [child for worker in workers for child in _children(worker, recursive=True)],
        "node": [node],
    }
    sizes = {kind: sum(map(sizes_of, processes), Sizes()) for kind, processes in kinds.items()}
    return {**sizes, "server": sizes["gunicorn"] + sizes["workers"] + sizes["children"]}


def _children(process: psutil.Process, *, recursive: bool = False) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=recursive))
    except psutil.NoSuchProcess:
        return []
