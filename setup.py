"""What pyproject.toml cannot say of the package: its dependencies, and its compiled catalogues of texts."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

EXTRAS = ("parquet", "s3", "spark")  # each of which has a file requirements-EXTRA.txt


class BuildWithCatalogues(build_py):
    """The package with its texts compiled, as gettext reads them."""

    def run(self) -> None:
        """Build the package, then compile its catalogues into it."""
        from babel.messages.mofile import write_mo
        from babel.messages.pofile import read_po

        super().run()
        for source in Path("app/translations").glob("*/LC_MESSAGES/messages.po"):
            compiled = Path(self.build_lib, source).with_suffix(".mo")
            compiled.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as texts, compiled.open("wb") as file:
                write_mo(file, read_po(texts, locale=source.parts[-3]))


def requirements(file: str) -> list[str]:
    """Return the lines of a file that name a package; options of pip are no part of a package."""
    lines = (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


setup(
    install_requires=requirements("requirements.txt"),
    extras_require={extra: requirements(f"requirements-{extra}.txt") for extra in EXTRAS},
    cmdclass={"build_py": BuildWithCatalogues},
)
