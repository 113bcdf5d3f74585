"""A program that sends two pieces of a large file to a bucket, says so, and waits: for tests that kill it there."""

import sys
import threading

from image_embeddings.file_stores import s3


class Waiting(s3.S3Store):
    """A store whose third request about a large file is never made."""

    def _call(self, operation, name, **options):
        if options.get("PartNumber") == 3:
            print("sent two pieces", flush=True)
            threading.Event().wait()
        return super()._call(operation, name, **options)


def main(address: str, endpoint: str) -> None:
    """Write the file part-00001.parquet of three pieces."""
    s3.PIECE_BYTES = 5 * 2**20  # the least that stores allow
    with Waiting(address, endpoint=endpoint).write_whole("part-00001.parquet") as file:
        file.write_bytes(b"x" * (2 * s3.PIECE_BYTES + 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
