"""Exit with a message unless standard input is valid CycloneDX.

tools/sbom.py runs this in the environment of the tool that it uses, which has none of this project's packages.

    python tools/check_sbom.py 1.6 <sbom.json
"""

import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(specification: str) -> None:
    """Check standard input against that version of the specification."""
    error = JsonStrictValidator(SchemaVersion.from_version(specification)).validate_str(sys.stdin.read())
    if error:
        raise SystemExit(f"The list is no CycloneDX {specification}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
