"""The folders, and addresses of other photos, that were indexed from this DATA_DIR.

An index says which folder it holds. Whoever can write to the index could name any folder there, so the web app takes
only a folder that is noted here, too.
"""

import hashlib
from pathlib import Path

from image_embeddings.errors import DataDirError


def note_folder(data_dir: Path, folder: Path | str) -> None:
    """Note that the folder is being indexed. Raise DataDirError if DATA_DIR cannot be written."""
    note = _note(data_dir, folder)
    if note.is_file():
        return
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{folder}\n", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DataDirError(
            f"Nothing can be written below {data_dir} ({error.strerror or error}). Make room there, or set DATA_DIR to "
            "a folder that this user may write to."
        ) from error


def was_indexed(data_dir: Path, folder: Path | str) -> bool:
    """Return whether the folder was indexed from this DATA_DIR."""
    return _note(data_dir, folder).is_file()


def _note(data_dir: Path, folder: Path | str) -> Path:
    name = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()
    return data_dir / "indexed-folders" / name[:32]
