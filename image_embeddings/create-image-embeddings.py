"""The `index` command under the script name and flags that users of this project know."""

import sys
from pathlib import Path

# Python puts this script's own folder first on the path. There, our modules would hide libraries of the same name.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from image_embeddings.cli.create_image_embeddings import create_image_embeddings  # noqa: E402

create_image_embeddings()
