import pytest

from image_embeddings.photos.default_texts import is_default

DEFAULTS = """OLYMPUS DIGITAL CAMERA
SONY DSC
DSC
Minolta DSC
SAMSUNG DIGITAL CAMERA
SAMSUNG
KONICA MINOLTA DIGITAL CAMERA
KODAK Digital Still Camera
PENTAX DIGITAL CAMERA
DCF 1.0
DIGITAL CAMERA
Digital StillCamera
Exif_JPEG_PICTURE
Exif JPEG
Jpeg_Picture
Created with GIMP
Created with The GIMP
Created by ImageGear, AccuSoft Corp.
Processed with VSCO with c1 preset
Edited in Snapseed
Optimized by JPEGmini 3.9.20.0
<KENOX S630  / Samsung S630>
LEAD Technologies Inc. V1.01
AppleMark
CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90
File written by Adobe Photoshop® 5.0
My beautiful picture
DCIM\\100MEDIA\\DJI_0001.JPG
C:\\DCIM\\100GOPRO\\G0012345.JPG
default
untitled
oplus_32
cof
cof_soft
hdrpl
oznor
Hisilicon Balong
charset="Ascii"
Type=N, Mode=P, DE=None
{"version":1,"data":{}}
<OppoCamera>
0.9.142
----
 . _
""".splitlines()

CAPTIONS = """Camera
Photo
My Olympus
Sony building in Tokyo
Portrait of Ada
A Kodak moment at the lake
The sea
Grandmother's 80th birthday
Paris 2019
猫
海
犬と猫
Über den Dächern
Apple tree in our garden
Opening of the Nikon museum
user story
Default mode of a fan
It was made with love for my digital camera club
X
1945
Fuji
Apple
Made in Italy
Created by my daughter
Norway
Digging
HDR photo of the bridge
10 km
""".splitlines()


@pytest.mark.parametrize("text", DEFAULTS)
def test_default_texts_of_cameras_and_programs_are_known(text):
    for written in (text, text.lower(), text.strip(), text + " " * 9, f"{text}."):
        assert is_default(written)


@pytest.mark.parametrize("text", CAPTIONS)
def test_what_a_person_writes_is_no_default_text(text):
    for written in (text, text.lower(), text.upper(), f"{text}."):
        assert not is_default(written)


def test_a_long_text_is_judged_at_once():
    for text in ("a=b," * 500 + "x y", "a/b." * 500, "sony " * 400 + "x", "<" * 2_000, "0" * 2_000, "nor_" * 500):
        is_default(text)
