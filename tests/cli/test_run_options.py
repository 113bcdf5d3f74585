"""`index` and the job for Spark have the same options for a run."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from image_embeddings.cli.index import index
from image_embeddings.cli.spark_job import index_by_spark
from image_embeddings.config import ROOT
from tests.waiting import LONG

SHARED = {
    *("delete_existing", "rebuild", "metadata", "reread", "prune"),
    *("batch_size", "chunk_size", "thread_count", "as_json"),
}


def options_of(command):
    return {
        option.name: (option.opts, option.help, None if option.name == "thread_count" else option.default)
        for option in command.params
        if option.name in SHARED
    }


def test_both_commands_have_them_alike():
    assert options_of(index).keys() == SHARED
    assert options_of(index) == options_of(index_by_spark)


@pytest.mark.parametrize("command", [index, index_by_spark])
@pytest.mark.parametrize("flags", [("--rebuild", "--delete-existing"), ("--reread", "--rebuild")])
def test_what_does_not_go_together_is_refused(command, flags):
    done = CliRunner().invoke(command, ["s3://bucket/photos", *flags])
    assert done.exit_code == 2
    assert "Usage:" in done.output


def test_the_file_for_spark_submit_runs_from_anywhere(tmp_path):
    job = ROOT / "image_embeddings" / "indexing" / "spark_job.py"
    done = subprocess.run(
        [sys.executable, str(job), "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONG,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: spark_job.py [OPTIONS] SOURCE")


def test_the_file_for_spark_submit_says_what_is_missing(tmp_path):
    job = tmp_path / "spark_job.py"
    job.write_text((ROOT / "image_embeddings" / "indexing" / "spark_job.py").read_text())
    command = [sys.executable, "-S", str(job), "s3://bucket/photos"]  # -S: no installed package is found
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=LONG)
    assert done.returncode == 1
    assert "--py-files image_search.zip" in done.stderr
