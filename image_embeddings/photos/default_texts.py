"""Texts that cameras and programs put into every photo. They say nothing about the photo, so they are no captions."""

import re

# Names of makers and programs, and of the formats that they name in their default texts. Names that are words as well,
# like Apple and Fuji, are left out: they may be captions.
_NAMES = """accusoft acdsee acer agfa agfaphoto aiptek applemark asus balong benq blackberry casio corel darktable
    dcf digikam dji docomo dsc dsc-ii epson ericsson exif exif_jpeg_picture faststone fujifilm gd-jpeg
    gimp google gopro hewlett hisilicon hp htc huawei imagegear imagemagick instagram iphone irfanview
    jpeg jpeg_picture jpegmini kddi kenox kodak konica kyocera leica lg lge lightroom maginon matlab
    medion microsoft minolta mitsubishi motorola mustek nec nikon nokia olympus oneplus oppo packard
    panasonic pantech pentax photofiltre photoshop photosmart picasa pixelmator polaroid praktica
    rawtherapee realme ricoh rollei samsung sanyo shotwell skanhex snapseed softbank sony toshiba ulead
    umax vivitar vodafone vsco xiaomi xnview yakumo zoran zte"""
# Words that stand beside such a name and say no more.
_FILLERS = """a adobe and by camera cameras cellular co company corp corporation created creator digital edited electric
    electronics file for from generated image images imaging in inc jpg ltd made mobile of on optical
    optimised optimized phone photo photography picture preset processed product quality saved software still
    stillcamera taken techwin technologies
    the using version with written x"""
_WORDS = frozenset(_NAMES.split()), frozenset((_NAMES + " " + _FILLERS).split())
# A name of a product, or a version: letters and digits mixed, as C2040Z, v1.0 or 5.0.
_CODE = re.compile(r"[a-z]*[-_/.]?\d[\w./-]*|[ivx]+|[cv]\d+", re.IGNORECASE)
_SPLIT = re.compile(r"[\s,;:()<>®™©\"'|=]+")

# Whole texts, in small letters, by some phones the names of their camera's modes.
_WHOLE = re.compile(
    r"""default|untitled|ascii|unicode|jis|null|none|undefined|n/?a|unknown|title|
    my\ beautiful\ picture|digital\ (?:still\ ?)?camera|camera\ phone|screenshot|user\ ?comments?|
    (?:cof|dav|edf|hdr|hdrpl|hdrpt|mde|nor|rhdr|ptr|pfl|sdr|fbt|fptbty|rbt|rpt|bsh|btf|btr|dig|ozn?or|ozedf|ozhdr|vhdr|
    smartcapture)(?:_[a-z]{0,4})?|
    (?:oplus|hdnet|hw|mtk|qc|xm)[_-]\w*|
    lead\ technologies\ inc.*|creator:\ gd-jpeg.*|file\ (?:written|source)\ by\ adobe.*|intel\(r\)\ jpeg\ library.*|
    handmade\ software.*""",
    re.VERBOSE,
)
# What programs write for themselves: versions, paths of files, XML, JSON, and settings like `Type=N, Mode=P`.
_RECORD = re.compile(
    r"\d+(?:\.\d+){2,}|\w:\\.*|/?\w+(?:[/\\][\w.-]+)+\.\w{2,5}|dcim[\\/].*|[<{\[].*[>}\]]|charset\s*=.*|"
    r"\w+=[^\s,;]*(?:[,;\s]+\w+=[^\s,;]*)*[,;\s]*"
)
_MANY_WORDS = 12  # a longer text is written by a person, or is at least worth reading


def is_default(text: str) -> bool:
    """Return whether a camera or a program puts this text, which is on one line, into every photo.

    The rule: it is one of the known texts, or a record for programs, or it has no word but names of makers and
    programs, models, versions, and words such as "digital camera". At least one such name is needed, so "Camera" is a
    caption. A text without letters and digits says nothing either.
    """
    small = text.lower().strip(" .*_-")
    if not _says_something(small) or _WHOLE.fullmatch(small) or _RECORD.fullmatch(small):
        return True
    words = [word.strip(".-_*[]{}!") for word in _SPLIT.split(small)]
    words = [word for word in words if word]
    names, known = _WORDS
    if len(words) > _MANY_WORDS or not any(word in names for word in words):
        return False
    return all(word in known or _CODE.fullmatch(word) for word in words)


def _says_something(text: str) -> bool:
    return any(letter.isalnum() for letter in text)
