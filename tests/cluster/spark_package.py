"""The package as users give it to Spark."""

import zipfile

from image_embeddings.config import ROOT

JOB = ROOT / "image_embeddings" / "indexing" / "spark_job.py"


def make_package(folder):
    """Return a zip file of the package in `folder`."""
    path = folder / "image_search.zip"
    with zipfile.ZipFile(path, "w") as file:
        for source in sorted((ROOT / "image_embeddings").rglob("*")):
            if source.is_file() and source.suffix not in (".pyc", ".po"):
                file.write(source, source.relative_to(ROOT))
    return path
