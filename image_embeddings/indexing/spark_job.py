"""Index photos on a Spark cluster: `spark-submit --py-files image_search.zip spark_job.py SOURCE`.

Exit status: 0 done, 1 failed, 2 wrong usage. docs/distributed.md says how to submit it. The command itself is
image_embeddings/cli/spark_job.py.
"""

import sys
from pathlib import Path

# Spark puts the folder of this file first on the path. There, our modules would hide libraries of the same name.
sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != Path(__file__).resolve().parent]

try:
    import image_embeddings  # noqa: F401
except ImportError:
    sys.exit("The program is missing: give spark-submit --py-files image_search.zip (docs/distributed.md).")

from image_embeddings.cli.spark_job import index_by_spark  # noqa: E402

index_by_spark(prog_name="spark_job.py")
