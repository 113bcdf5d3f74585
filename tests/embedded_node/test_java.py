import pytest

from image_embeddings.embedded_node.java import choose_java, read_java


def make_java(folder, version="25.0.1", modules="java.base"):
    (folder / "lib" / "server").mkdir(parents=True)
    (folder / "lib" / "server" / "libjvm.so").touch()
    (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.mark.parametrize(("version", "read"), [("21", 21), ("25.0.3", 25), ("21-ea", 21)])
def test_a_java_of_21_or_newer_is_used(tmp_path, version, read):
    java = choose_java(make_java(tmp_path / "java", version), notify=pytest.fail)
    assert (java.version, java.simd) == (read, False)


def test_a_java_with_the_vector_module_brings_simd(tmp_path):
    assert read_java(make_java(tmp_path / "java", modules="java.base jdk.incubator.vector")).simd


@pytest.mark.parametrize(
    ("version", "why"),
    [("17.0.15", "it is Java 17"), ("1.8.0_292", "it is Java 8"), ("new", "does not say which version")],
)
def test_the_bundled_java_replaces_an_older_one_with_one_line(tmp_path, version, why):
    said = []
    java = choose_java(make_java(tmp_path / "java", version), notify=said.append)
    assert java.home != tmp_path / "java"
    assert len(said) == 1
    assert why in said[0]


def test_the_bundled_java_replaces_a_folder_without_java(tmp_path):
    said = []
    assert choose_java(tmp_path, notify=said.append).version >= 21
    assert "JAVA_HOME" in said[0]


def test_the_bundled_java_replaces_a_java_without_its_library(tmp_path):
    said = []
    (make_java(tmp_path / "java") / "lib" / "server" / "libjvm.so").unlink()
    choose_java(tmp_path / "java", notify=said.append)
    assert "libjvm" in said[0]
