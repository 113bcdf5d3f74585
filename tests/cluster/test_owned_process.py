import os
import subprocess
import sys

import psutil
import pytest

from image_embeddings.config import ROOT
from tests.cluster.owned_process import OwnedProcess, runs
from tests.waiting import wait_for

# The second process below has lost its parent and has a session of its own. The third one is in the way of a signal.
COMMAND = ["sh", "-c", "(setsid sleep 1000 &) ; trap '' TERM INT; sleep 1000 & wait"]
OWNER = f"""
import os, sys
from pathlib import Path
from tests.cluster.owned_process import OwnedProcess
OwnedProcess({COMMAND}, log=Path(sys.argv[1]), env=os.environ)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def owned(tmp_path):
    process = OwnedProcess(COMMAND, log=tmp_path / "log", env=os.environ)
    wait_for(lambda: count_sleeping(process.children()) == 2)
    return process


def count_sleeping(processes):
    return sum("sleep" in process.cmdline()[:1] for process in processes if runs(process))


def none_runs(processes):
    return not any(map(runs, processes))


def test_kill_ends_all_below_it_and_says_so_when_they_are_gone(owned):
    below = owned.children()
    owned.kill()
    assert (len(below), none_runs(below), owned.children()) == (3, True, [])


def test_all_below_it_end_with_it(owned):
    below = owned.children()
    next(process for process in below if process.name() == "sh").kill()
    assert (owned.wait(), none_runs(below)) == (-9, True)


@pytest.mark.parametrize("signal", ["kill", "terminate"])
def test_all_below_it_end_if_its_owner_is_killed(tmp_path, signal):
    command = [sys.executable, "-c", OWNER, str(tmp_path / "log")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        owner.stdout.readline()
        below = wait_for_three(owner)
        getattr(owner, signal)()
    wait_for(lambda: none_runs(below), what=lambda: str(below))


def wait_for_three(owner):
    process = psutil.Process(owner.pid)
    wait_for(lambda: count_sleeping(process.children(recursive=True)) == 2)
    return process.children(recursive=True)


@pytest.mark.parametrize(("code", "ending"), [(0, "exit 0"), (3, "exit 3"), (-15, "kill $$")])
def test_its_exit_code_is_that_of_the_program(tmp_path, code, ending):
    process = OwnedProcess(["sh", "-c", f"echo told; {ending}"], log=tmp_path / "log", env=os.environ)
    assert (process.wait(), (tmp_path / "log").read_text()) == (code, "told\n")


def test_a_program_that_has_ended_is_a_failure_with_its_log(tmp_path):
    process = OwnedProcess(["sh", "-c", "echo reason >&2"], log=tmp_path / "log", env=os.environ)
    process.wait()
    with pytest.raises(AssertionError, match="reason"):
        process.check_runs()
