import pytest

from image_embeddings.documents import ImageDocument, PhotoMetadata
from image_embeddings.errors import MetadataError
from image_embeddings.photos.captions import CAPTION_LENGTH
from image_embeddings.sources import metadata_table
from image_embeddings.sources.metadata_table import read_metadata

PHOTOS = ["a.jpg", "rome/forum.jpg", "Küste/日本.jpg"]


def table(tmp_path, text, *, encoding="utf-8"):
    """Return the rows of PHOTOS in a metadata file of this text."""
    path = tmp_path / "photos.csv"
    path.write_bytes(text.encode(encoding))
    return read_metadata(path, image_ids=PHOTOS)


def problem(tmp_path, text, **options):
    """Return the error message for it."""
    with pytest.raises(MetadataError, match=r"photos\.csv cannot be used: .*Correct it and try again") as raised:
        table(tmp_path, text, **options)
    return str(raised.value)


def test_label_caption_and_further_columns_are_read(tmp_path):
    text = 'file,label,caption,photographer,Year\nrome/forum.jpg,ruins,"The Forum, seen from above",Ada,2019\n'
    expected = PhotoMetadata(
        label="ruins", caption="The Forum, seen from above", extra={"photographer": "Ada", "Year": "2019"}
    )
    assert table(tmp_path, text) == {"rome/forum.jpg": expected}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables_of_every_spreadsheet_program_are_read(tmp_path, delimiter, end, encoding):
    text = end.join([f"label{delimiter}file", f"x{delimiter}Küste/日本.jpg", ""])
    assert table(tmp_path, text, encoding=encoding) == {"Küste/日本.jpg": PhotoMetadata(label="x")}


def test_blanks_around_fields_and_empty_lines_do_not_matter(tmp_path):
    assert table(tmp_path, "\n file , label \n\n a.jpg , x \n,\n")["a.jpg"].label == "x"


def test_empty_fields_are_ignored(tmp_path):
    assert table(tmp_path, "file,label,caption,place\na.jpg,,,\n") == {"a.jpg": PhotoMetadata()}


@pytest.mark.parametrize("name", ["Ku\u0308ste/日本.jpg", "./Küste/日本.jpg"])
def test_names_are_found_in_the_form_of_other_systems(tmp_path, name):
    assert list(table(tmp_path, f"file,label\n{name},x\n")) == ["Küste/日本.jpg"]


def test_a_caption_may_have_several_lines_and_quotes(tmp_path):
    assert table(tmp_path, 'file,caption\na.jpg,"two\nlines of ""text"""\n')["a.jpg"].caption == 'two lines of "text"'


def test_a_photo_without_a_line_is_not_in_the_result(tmp_path):
    assert list(table(tmp_path, "file,label\na.jpg,x\n")) == ["a.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: there is no column 'file' (there are: none)"),
        ("name,label\na.jpg,x\n", "line 1: there is no column 'file' (there are: 'name', 'label')"),
        ("file\na.jpg\n", "line 1: there is no column beside 'file'"),
        ("file,x,x\na.jpg,1,2\n", "line 1: the column 'x' is there twice"),
        ("file,,\na.jpg,1,2\n", "two columns have no name"),
        (f"file,{'x' * 101}\na.jpg,1\n", "line 1: a column cannot be called"),
        ("file,label\na.jpg,x\n\nb.jpg,y\n", "line 4: there is no photo 'b.jpg'"),
        ("file,label\nforum.jpg,x\n", "line 2: there is no photo 'forum.jpg'; a file is named by its path"),
        ("file,label\n../a.jpg,x\n", "line 2: there is no photo '../a.jpg'"),
        ("file,label\na.jpg,x\na.jpg,x\n", "line 3: 'a.jpg' stands in line 2 already"),
        ("file,label\na.jpg,x,y\n", "line 2: it has 3 fields, and there are 2 columns; put quotes around"),
        ("file,label\na.jpg\n", "line 2: it has 1 fields"),
        ('file,caption\nrome/forum.jpg,x\na.jpg,"open\n\n', "line 3: unexpected end of data; a quote"),
        ("file,caption\na.jpg," + "x" * (CAPTION_LENGTH + 1), "line 2: 'caption' has 2,001 characters, 2,000 at most"),
        ("file,label\na.jpg," + "x" * 201, "line 2: 'label' has 201 characters, 200 at most"),
        ("file,more\na.jpg," + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_problems_are_reported_with_their_line(tmp_path, text, said):
    assert said in problem(tmp_path, text)


def test_a_caption_of_several_lines_does_not_shift_the_numbers(tmp_path):
    assert "line 4: there is no photo 'b.jpg'" in problem(tmp_path, 'file,caption\na.jpg,"two\nlines"\nb.jpg,x\n')


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_than_utf_8_is_reported(tmp_path, encoding):
    said = problem(tmp_path, "file,label\na.jpg,x\nKüste.jpg,y\n", encoding=encoding)
    assert ("line 3: it is not UTF-8" if encoding == "latin-1" else "line 1: it is not UTF-8") in said


def test_many_problems_are_counted(tmp_path):
    said = problem(tmp_path, "file,label\n" + "".join(f"{n}.jpg,x\n" for n in range(1_000)))
    assert "line 2: " in said
    assert "line 11: " in said
    assert "line 12: " not in said
    assert "and 990 lines more" in said


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(MetadataError, match="cannot be read"):
        read_metadata(tmp_path / name, image_ids=PHOTOS)


def test_a_row_is_merged_into_a_document_and_its_caption_goes_first():
    document = ImageDocument(
        image_id="a.jpg", width=1, height=1, bytes=1, mtime_ns=1, content_hash="ab", caption="own", lens="50mm"
    )
    merged = PhotoMetadata(label="x", caption="theirs", extra={"place": "Rome"}).merged_into(document)
    assert (merged.label, merged.caption, merged.extra, merged.lens) == ("x", "theirs", {"place": "Rome"}, "50mm")
    assert PhotoMetadata().merged_into(document) == document


def test_a_table_for_a_hundred_thousand_photos_is_read_in_seconds(tmp_path):
    path = tmp_path / "photos.csv"
    path.write_text("file,label\n" + "".join(f"{n}.jpg,x\n" for n in range(100_000)))
    assert len(metadata_table.read_metadata(path, image_ids=(f"{n}.jpg" for n in range(100_000)))) == 100_000
