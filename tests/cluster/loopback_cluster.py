"""Start HDFS, Spark and three Elasticsearch nodes on this machine, to try docs/distributed.md. Ctrl-C ends them.

    .venv/bin/python -m tests.cluster.loopback_cluster [PHOTOS]

They are the real programs, and what the tests use: two DataNodes, two Spark workers of one core, all on 127.0.0.1, with
no password and no TLS. PHOTOS (default: the sample photos) are put into HDFS. It needs Java 17 or newer, the packages
of requirements-dev.txt, 4 GB of memory, and a network for the first start.
"""

import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from image_embeddings.config import SAMPLE_PHOTOS, load_settings
from image_embeddings.embedded_node.jars import VERSION, fetch_from_maven, install_jars
from tests.cluster import java, spark_cluster
from tests.cluster.hadoop_jars import fetch_jars
from tests.cluster.hdfs import hdfs_cluster
from tests.cluster.three_nodes import three_nodes


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE_PHOTOS
    if missing := spark_cluster.missing():
        raise SystemExit(missing)
    if not photos.is_dir():
        raise SystemExit(f"{photos} is no folder. Name the folder of your photos.")
    jars = load_settings().data_dir / "elasticsearch" / f"jars-{VERSION}"
    install_jars(jars, fetch=fetch_from_maven, notify=print)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loopback-cluster-")))
        places = {name: folder / name for name in ("elasticsearch", "hdfs", "spark")}
        for place in places.values():
            place.mkdir()
        print("Starting three Elasticsearch nodes, HDFS and Spark. This takes about a minute …", flush=True)
        nodes = stack.enter_context(three_nodes(places["elasticsearch"], jars=jars))
        hdfs = stack.enter_context(hdfs_cluster(places["hdfs"], jars=fetch_jars(load_settings().data_dir)))
        spark = stack.enter_context(spark_cluster.spark_cluster(places["spark"]))
        hdfs.put(photos, "/photos")
        found = java.find_java()
        assert found, java.MISSING
        variables = {
            "ES_HOST": nodes.hosts,
            "PHOTOS": f"{hdfs.web_url.replace('http', 'webhdfs')}/photos",
            "SPARK": spark.master_url,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "JAVA_HOME": str(found.home),
        }
        print("All of them run. In another terminal, in this folder:\n")
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))
        print("\nCtrl-C ends them and removes all that they hold.", flush=True)
        try:
            Event().wait()
        except KeyboardInterrupt:
            print("Ending them …")


if __name__ == "__main__":
    main()
