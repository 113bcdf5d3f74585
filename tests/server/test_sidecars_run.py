"""Sidecars in runs over a real index: what they say is stored and found, and their changes are changes of the photo."""

import json
import os
from dataclasses import replace

import pytest

from image_embeddings.documents import FORMAT
from image_embeddings.sources import reading
from tests.fakes import ColourEncoder
from tests.worded_photos import xmp

pytestmark = pytest.mark.server

IMAGE_ID = "warm/red.png"


@pytest.fixture
def sidecar(photos):
    return photos / f"{IMAGE_ID}.xmp"


@pytest.fixture
def said(index):
    """Return a function that returns caption and keywords of the photo in the index."""

    def read(image_id=IMAGE_ID):
        document = index.documents.get(image_id)
        return document.caption, document.keywords

    return read


def write(path, caption, *keywords):
    path.write_bytes(xmp(captions={"x-default": caption}, keywords=keywords))


def outcome(run, *lines):
    """Run, and return how many photos were read, encoded and described anew."""
    report = run(*lines)
    return run.progress.done, report.encoded, report.described


def test_a_sidecar_that_is_added_edited_or_removed_is_taken_anew_and_the_embedding_kept(run, said, sidecar):
    assert outcome(run) == (6, 6, 0)
    write(sidecar, "First", "one")
    assert outcome(run) == (1, 0, 1)
    assert said() == ("First", ("one",))
    assert outcome(run) == (0, 0, 0)
    write(sidecar, "Second")
    assert outcome(run) == (1, 0, 1)
    assert said() == ("Second", ())
    status = sidecar.stat()
    write(sidecar, "Thirds")
    os.utime(sidecar, ns=(status.st_atime_ns, status.st_mtime_ns))  # as programs do
    assert outcome(run) == (1, 0, 1)
    assert said() == ("Thirds", ())
    sidecar.unlink()
    assert outcome(run) == (1, 0, 1)
    assert said() == (None, ())
    assert outcome(run) == (0, 0, 0)


def test_a_sidecar_that_is_only_touched_changes_nothing(run, said, sidecar):
    write(sidecar, "First")
    run()
    os.utime(sidecar)
    assert outcome(run) == (1, 0, 0)
    assert outcome(run) == (0, 0, 0)
    assert said() == ("First", ())


def test_a_photo_that_is_renamed_or_copied_takes_the_words_of_its_own_sidecar(run, said, photos, sidecar):
    write(sidecar, "First")
    run()
    red = photos / IMAGE_ID
    (photos / "copy.png").write_bytes(red.read_bytes())
    (photos / "described.png").write_bytes(red.read_bytes())
    write(photos / "described.xmp", "Other")
    red.rename(photos / "warm" / "rot.png")
    assert (outcome(run)[1], run.encoder.batches) == (0, [])
    assert said("copy.png") == said("warm/rot.png") == (None, ())
    assert said("described.png") == ("Other", ())
    sidecar.rename(photos / "warm" / "rot.png.xmp")
    assert outcome(run) == (1, 0, 1)
    assert said("warm/rot.png") == ("First", ())


def test_a_folder_that_moves_keeps_all(run, said, photos, sidecar):
    write(sidecar, "First")
    run()
    (photos / "warm").rename(photos / "hot")
    assert outcome(run)[1:] == (0, 0)
    assert said("hot/red.png") == ("First", ())


def test_a_table_goes_before_a_sidecar_and_a_sidecar_before_the_file(run, said, index, sidecar):
    write(sidecar, "Sidecar", "one")
    run("file,caption", f"{IMAGE_ID},Table")
    assert said() == ("Table", ("one",))
    write(sidecar, "Edited", "two")
    run()
    assert said() == ("Table", ("two",))


def test_date_place_and_rating_of_an_export_are_stored(run, index, photos):
    export = {
        "photoTakenTime": {"timestamp": "1519844096"},
        "geoData": {"latitude": 61.5, "longitude": 23.7, "altitude": 0.0},
        "description": "Sled dog",
        "people": [{"name": "Ada"}],
    }
    (photos / f"{IMAGE_ID}.supplemental-metadata.json").write_text(json.dumps(export))
    run()
    document = index.documents.get(IMAGE_ID)
    assert (document.taken, document.taken_by) == ("2018-02-28T18:54:56+00:00", "sidecar")
    assert (document.location, document.altitude) == ((61.5, 23.7), None)
    assert (document.caption, document.persons) == ("Sled dog", ("Ada",))


def test_no_place_is_stored_from_a_sidecar_if_places_are_switched_off(run, index, photos):
    export = {"geoData": {"latitude": 61.5, "longitude": 23.7, "altitude": 5.0}}
    (photos / f"{IMAGE_ID}.json").write_text(json.dumps(export))
    run(with_location=False)
    document = index.documents.get(IMAGE_ID)
    assert (document.location, document.altitude) == (None, None)


def test_a_broken_sidecar_is_named_once_and_costs_nothing(run, index, said, sidecar, photos):
    write(photos / "warm" / "yellow.xmp", "Yellow")
    sidecar.write_text("<broken")
    report = run()
    assert (report.encoded, report.skipped) == (6, [])
    assert [fault.file for fault in report.sidecar_faults] == [f"{IMAGE_ID}.xmp"]
    assert report.other_files == {}
    assert said("warm/yellow.png") == ("Yellow", ())
    assert run().sidecar_faults == []
    write(sidecar, "Mended")
    assert run().sidecar_faults == []
    assert said() == ("Mended", ())


def test_a_sidecar_that_cannot_be_opened_is_tried_again_in_each_run(run, said, sidecar, monkeypatch):
    write(sidecar, "First")
    read_bytes = reading.read_bytes

    def refuse(path, **options):
        if path == sidecar:
            raise reading.CorpusError(f"{IMAGE_ID}.xmp cannot be opened (Permission denied): let this user read it.")
        return read_bytes(path, **options)

    with monkeypatch.context() as away:
        away.setattr(reading, "read_bytes", refuse)
        for _ in range(2):
            assert [fault.reason for fault in run().sidecar_faults] == [
                "cannot be opened (Permission denied): let this user read it"
            ]
    assert said() == (None, ())
    assert run().sidecar_faults == []
    assert said() == ("First", ())


def test_an_index_of_an_older_version_takes_the_sidecars_by_itself(run, index, said, sidecar):
    write(sidecar, "First")
    run()
    vector = ColourEncoder().encode_texts(["red"])[0]
    older = replace(index.documents.get(IMAGE_ID), sidecar_state=None, caption=None, format=FORMAT - 1)
    assert list(index.documents.add([(older, vector)])) == []
    assert outcome(run) == (1, 0, 1)
    assert said() == ("First", ())
    assert index.documents.get(IMAGE_ID).format == FORMAT
