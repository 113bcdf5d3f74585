"""A disk that has room for small thumbnails only. Processes that decode load this module in a test."""

import resource

from image_embeddings.photos.thumbnails import Thumbnails

ROOM = 2_000  # bytes that a file may have
write = Thumbnails._write


def write_into_what_is_left(self, image, path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        write(self, image, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


Thumbnails._write = write_into_what_is_left
