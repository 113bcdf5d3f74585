"""Fields of requests. Each refuses a value that is too long or of the wrong kind before anything is made of it.

A refusal repeats a hundred characters of the value at most.
"""

import re
from collections.abc import Sized
from typing import Any

from apiflask.fields import Float, Integer, List, String
from apiflask.validators import Length
from marshmallow import ValidationError, missing
from marshmallow.fields import Field

from app.search_request.crops import split_fragment
from image_embeddings import COLUMN_LENGTH, MAX_IMAGE_ID_BYTES, Place, errors

LONGEST_FRAGMENT = len("#xywh=percent:") + 4 * len("100.000000,")
LONGEST_NUMBER = 40  # characters
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?\s*", re.IGNORECASE)

_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_MONTH = "(0[1-9]|1[0-2])"
_DAY_OF_ANY_YEAR = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
DATE = f"{_YEAR}(-{_MONTH})?|{_YEAR}-{_DAY_OF_ANY_YEAR}|{_LEAP_YEAR}-02-29"
_FRACTION = r"(\.[0-9]{1,20})?(e-[0-9]{1,2})?"
_LATITUDE = rf"-?(90(\.0{{1,20}})?|[1-8]?[0-9]{_FRACTION})"
_LONGITUDE = rf"-?(180(\.0{{1,20}})?|(1[0-7][0-9]|[1-9]?[0-9]){_FRACTION})"
BOX = ", ?".join((_LATITUDE, _LONGITUDE, _LATITUDE, _LONGITUDE))
_DATE, _BOX = re.compile(DATE), re.compile(BOX)


class Longest(Length):
    """Refuses a text or list that is longer than `most`. The message may have {length} and {max}."""

    def __init__(self, most: int, *, least: int | None = None, error: str | None = None) -> None:
        super().__init__(least, most, error=error)

    def _format_error(self, value: Sized, message: str) -> str:
        is_too_long = len(value) > (self.max or 0)
        return (self.error if self.error and is_too_long else message).format(
            length=len(value), min=self.min, max=self.max
        )


class Several(List[Any]):
    """A list of at most `most` values. If there are more, none of them is looked at.

    A value that its field takes for none, such as an empty text in place of a file, is refused.
    """

    def __init__(self, inner: Field[Any], *, most: int, least: int | None = None, **options: Any) -> None:
        self.limit = Longest(most, least=least, error="There are {length} values; {max} at most.")
        super().__init__(inner, validate=self.limit, **options)

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> list[Any]:
        if isinstance(value, list | tuple):
            self.limit(value)
        loaded = super()._deserialize(value, *args, **options)
        if nothing := {number: ["It is empty."] for number, each in enumerate(loaded) if each is missing}:
            raise ValidationError(nothing)
        return loaded


class BriefText(String):
    """A text of at most `most` characters."""

    def __init__(self, *, most: int, least: int | None = None, error: str | None = None, **options: Any) -> None:
        self.limit = Longest(most, least=least, error=error or "It has {length} characters; {max} at most.")
        super().__init__(**{"validate": self.limit, **options})


class FacetValue(BriefText):
    """A value of a filter, which is no longer than any that the index can have."""

    def __init__(self, *, max_bytes: int, **options: Any) -> None:
        self.max_bytes = max_bytes
        super().__init__(most=max_bytes, error="It is longer than any in the index.", **options)

    def _deserialize(self, *args: Any, **options: Any) -> str:
        value: str = super()._deserialize(*args, **options)
        if len(value.encode(errors="replace")) > self.max_bytes:
            raise ValidationError("It is longer than any in the index.")
        return value


class ColumnValue(FacetValue):
    """A column of the metadata file and its value, `name=value`, as a tuple."""

    def __init__(self, *, max_bytes: int) -> None:
        super().__init__(max_bytes=max_bytes, metadata={"pattern": f"^[^=]{{0,{COLUMN_LENGTH}}}="})

    def _deserialize(self, *args: Any, **options: Any) -> tuple[str, str]:  # type: ignore[override]
        given = super()._deserialize(*args, **options)
        name, equals, value = given.partition("=")
        if not equals:
            raise ValidationError(
                f"'{errors.shorten(given)}' is no column of the metadata file and its value: name=value."
            )
        if len(name) > COLUMN_LENGTH:
            raise ValidationError("The name of the column is longer than any in the index.")
        return name, value


class PhotoName(BriefText):
    """The image_id of an indexed photo, perhaps with a fragment that names a part of the photo.

    Raises:
        ImageNotFoundError: if it is longer than the image_id of any photo.
    """

    def __init__(self, *, least: int = 1, **options: Any) -> None:
        super().__init__(most=MAX_IMAGE_ID_BYTES + LONGEST_FRAGMENT, least=least, **options)

    def _deserialize(self, *args: Any, **options: Any) -> str:
        value: str = super()._deserialize(*args, **options)
        image_id, box = split_fragment(value) if len(value) <= (self.limit.max or 0) else (value, None)
        if len(image_id.encode(errors="replace")) > MAX_IMAGE_ID_BYTES:
            raise errors.ImageNotFoundError(
                f"There is no photo '{errors.shorten(image_id)}' in the index. No image_id is that long."
            )
        if box:
            try:
                box.check()
            except errors.QueryError as error:
                raise ValidationError(str(error)) from None
        return value


class Day(BriefText):
    """A year, a month or a day: YYYY, YYYY-MM or YYYY-MM-DD."""

    def __init__(self, description: str, **options: Any) -> None:
        super().__init__(
            most=len("2024-05-31"), metadata={"description": description, "pattern": f"^({DATE})$"}, **options
        )

    def _deserialize(self, *args: Any, **options: Any) -> str:
        value: str = super()._deserialize(*args, **options)
        if not _DATE.fullmatch(value):
            raise ValidationError(f"'{errors.shorten(value)}' is no date such as 2024, 2024-05 or 2024-05-31.")
        return value


class BoxOfDegrees(BriefText):
    """A box on earth, south,west,north,east in degrees, as a tuple."""

    def __init__(self, description: str) -> None:
        super().__init__(most=200, metadata={"description": description, "pattern": f"^({BOX})$"})

    def _deserialize(self, *args: Any, **options: Any) -> Place:  # type: ignore[override]
        value = super()._deserialize(*args, **options)
        if len(value) > (self.limit.max or 0) or not _BOX.fullmatch(value):
            raise ValidationError(
                f"'{errors.shorten(value)}' is no box: south,west,north,east in degrees, latitudes from -90 to 90 and "
                "longitudes from -180 to 180."
            )
        south, west, north, east = (float(number) for number in value.split(","))
        if south > north:
            raise ValidationError(f"'{errors.shorten(value)}' is no box: its south is north of its north.")
        return south, west, north, east


class WholeNumber(Integer):
    """A whole number in ASCII digits."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, str) and not (len(value) <= LONGEST_NUMBER and _WHOLE_NUMBER.fullmatch(value)):
            raise ValidationError(f"'{errors.shorten(value)}' is no whole number.")
        return super()._validated(value)


class Number(Float):
    """A number in ASCII digits."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, str) and not (len(value) <= LONGEST_NUMBER and _NUMBER.fullmatch(value)):
            raise ValidationError(f"'{errors.shorten(value)}' is no number.")
        return super()._validated(value)
