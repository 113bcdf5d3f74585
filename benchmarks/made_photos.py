"""Photos for benchmarks/near_duplicates.py: changed copies, frames of bursts, and different photos that look alike.

All are made from photos, drawn subjects and random numbers. `rng` decides all of it, so a seed gives the same pictures.
"""

import math
import random
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

TEXT = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many"
)
WORDS = TEXT.split()
WHITE = 245  # level from which a cut-out's ground is taken for white


def file_of(image: Image.Image, *, quality: int = 85, kind: str = "JPEG") -> bytes:
    """Return an image as a file."""
    buffer = BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Return an image without these shares of its width and height."""
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def scale(image: Image.Image, factor: float) -> Image.Image:
    """Return an image of another size; its shorter side keeps 100 pixels."""
    factor = max(factor, 100 / min(image.size))
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def noisy(image: Image.Image, spread: float, rng: random.Random) -> Image.Image:
    """Return an image with noise of that spread in levels."""
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, spread, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def burst_frame(image: Image.Image, rng: random.Random, *, amount: float = 1.0) -> Image.Image:
    """Return one frame of a burst of the scene in `image`: the hand, the exposure and the focus move a little."""
    width, height = image.size
    angle, zoom = math.radians(rng.uniform(-1.5, 1.5) * amount), 1 + rng.uniform(-0.015, 0.015) * amount
    across, down = (rng.uniform(-0.025, 0.025) * amount * side for side in (width, height))
    cos, sin, x, y = math.cos(angle) / zoom, math.sin(angle) / zoom, width / 2, height / 2
    turn = (cos, sin, x - cos * x - sin * y + across, -sin, cos, y + sin * x - cos * y + down)
    frame = crop(image.transform(image.size, Image.Transform.AFFINE, turn, Image.Resampling.BICUBIC), *[0.06] * 4)
    frame = ImageEnhance.Brightness(frame).enhance(1 + rng.uniform(-0.12, 0.12) * amount)
    return noisy(frame.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1) * amount)), 4 * amount, rng)


def _send_on(image: Image.Image, rng: random.Random) -> bytes:
    image = crop(image, *(rng.uniform(0, 0.02) for _ in range(4)))
    return file_of(scale(ImageEnhance.Brightness(image).enhance(rng.uniform(0.9, 1.1)), 0.5), quality=50)


def _crop_one_side(image: Image.Image, rng: random.Random) -> bytes:
    shares = [0.0] * 4
    shares[rng.randrange(4)] = rng.uniform(0.03, 0.08)
    return file_of(crop(image, *shares))


def _tone(image: Image.Image, rng: random.Random) -> bytes:
    image = ImageEnhance.Contrast(image).enhance(rng.uniform(0.8, 1.25))
    return file_of(ImageEnhance.Color(image).enhance(rng.uniform(0.7, 1.35)))


# kind -> the file of a changed copy
CHANGES: dict[str, Callable[[Image.Image, random.Random], bytes]] = {
    "saved anew": lambda image, rng: file_of(
        image, quality=rng.randint(30, 80), kind=rng.choice(["JPEG", "JPEG", "WEBP"])
    ),
    "resized": lambda image, rng: file_of(scale(image, rng.uniform(0.2, 0.7))),
    "cropped": lambda image, rng: file_of(crop(image, *(rng.uniform(0, 0.05) for _ in range(4)))),
    "cropped on one side": _crop_one_side,
    "brightened": lambda image, rng: file_of(ImageEnhance.Brightness(image).enhance(rng.uniform(1.1, 1.35))),
    "darkened": lambda image, rng: file_of(ImageEnhance.Brightness(image).enhance(rng.uniform(0.65, 0.9))),
    "toned": _tone,
    "sent on": _send_on,
}


def recolour(image: Image.Image) -> Image.Image:
    """Return an image with its hues turned by a third."""
    bands = np.asarray(image.convert("HSV")).copy()
    bands[..., 0] += 85
    return Image.frombytes("HSV", image.size, bands.tobytes()).convert("RGB")


def cut_out(photo: Image.Image) -> Image.Image:
    """Return the subject of a photo on white, with a transparent ground."""
    pixels = np.asarray(photo)
    alpha = Image.fromarray(((pixels < WHITE).any(axis=2) * 255).astype(np.uint8)).filter(ImageFilter.MedianFilter(5))
    subject = photo.convert("RGBA")
    subject.putalpha(alpha)
    return subject.crop(alpha.getbbox())


def put(scene: Image.Image, subject: Image.Image, *, x: float, y: float, height: float) -> Image.Image:
    """Return a scene with a subject in it; centre and height are shares of the scene."""
    pixels = round(scene.height * height)
    size = round(subject.width * pixels / subject.height), pixels
    if size[0] > scene.width * 0.9:
        size = round(scene.width * 0.9), max(8, round(subject.height * scene.width * 0.9 / subject.width))
    left, top = round(x * scene.width - size[0] / 2), round(y * scene.height - size[1] / 2)
    whole = scene.convert("RGBA")
    whole.alpha_composite(subject.resize(size, Image.Resampling.LANCZOS), (max(0, left), max(0, top)))
    return whole.convert("RGB")


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def letter(rng: random.Random) -> Image.Image:
    """Return a letter of one sender, with another text each time."""
    image = Image.new("RGB", (850, 1100), (250, 249, 246))
    draw = ImageDraw.Draw(image)
    draw.text((90, 70), "ACME Insurance Ltd.", fill=(30, 30, 60), font=ImageFont.load_default(30))
    draw.line((90, 115, 760, 115), fill=(30, 30, 60), width=3)
    top = 180
    for _ in range(rng.randint(3, 5)):
        for _ in range(rng.randint(3, 7)):
            draw.text((90, top), _text(rng, rng.randint(9, 12)), fill=(25, 25, 25), font=ImageFont.load_default(17))
            top += 26
        top += 24
    return image


def book_page(rng: random.Random) -> Image.Image:
    """Return a page of a book: always the same number of full lines, with other words."""
    image = Image.new("RGB", (850, 1100), (252, 252, 250))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(17)
    for top in range(100, 1000, 26):
        line = ""
        while draw.textlength(line, font=font) < 640:
            line += rng.choice(WORDS) + " "
        draw.text((100, top), line, fill=(20, 20, 20), font=font)
    return image


def chat(rng: random.Random) -> Image.Image:
    """Return a screenshot of a conversation."""
    image = Image.new("RGB", (540, 1100), (236, 229, 221))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 540, 80), fill=(7, 94, 84))
    draw.text((80, 25), "Family", fill="white", font=ImageFont.load_default(28))
    draw.rectangle((0, 1030, 540, 1100), fill=(240, 240, 240))
    top = 100
    while top < 940:
        lines, own, width = rng.randint(1, 4), rng.random() < 0.5, rng.randint(160, 380)
        left = 520 - width if own else 20
        ground = (220, 248, 198) if own else (255, 255, 255)
        draw.rounded_rectangle((left, top, left + width, top + 24 * lines + 20), 12, fill=ground)
        for line in range(lines):
            at = left + 12, top + 10 + 24 * line
            draw.text(at, _text(rng, width // 60), fill=(20, 20, 20), font=ImageFont.load_default(16))
        top += 24 * lines + 34
    return image


def receipt(rng: random.Random) -> Image.Image:
    """Return a receipt of one shop, for other goods."""
    image = Image.new("RGB", (500, 1000), (246, 245, 242))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(18)
    draw.text((150, 40), "SUPERMARKET", fill=(20, 20, 20), font=ImageFont.load_default(26))
    for row in range(rng.randint(18, 24)):
        draw.text((50, 110 + 32 * row), _text(rng, rng.randint(1, 3)), fill=(40, 40, 40), font=font)
        draw.text((390, 110 + 32 * row), f"{rng.uniform(0, 30):5.2f}", fill=(40, 40, 40), font=font)
    return image


def moon(rng: random.Random) -> Image.Image:
    """Return a night sky with the moon in another place."""
    image = Image.new("RGB", (900, 600), (6, 7, 12))
    x, y, radius = rng.randint(80, 820), rng.randint(80, 520), rng.randint(12, 60)
    ImageDraw.Draw(image).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(230, 228, 210))
    return noisy(image.filter(ImageFilter.GaussianBlur(2)), 3, rng)


def fireworks(rng: random.Random) -> Image.Image:
    """Return a night sky with other fireworks."""
    image = Image.new("RGB", (900, 600), (6, 7, 12))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randint(1, 4)):
        x, y = rng.randint(100, 800), rng.randint(80, 450)
        colour = rng.choice([(255, 90, 60), (90, 200, 255), (255, 220, 90), (200, 110, 255)])
        for _ in range(40):
            angle, length = rng.uniform(0, 2 * math.pi), rng.uniform(30, 110)
            draw.line((x, y, x + length * math.cos(angle), y + length * math.sin(angle)), fill=colour, width=2)
    return noisy(image.filter(ImageFilter.GaussianBlur(1)), 3, rng)


def clouds(rng: random.Random, *, ground: tuple[int, int, int], spread: float) -> Image.Image:
    """Return faint clouds of other shapes: a sky, fog, or a field of snow."""
    shapes = np.zeros((600, 900), np.float32)
    for octave in range(1, 6):
        values = np.random.default_rng(rng.getrandbits(32)).normal(0, 1, (2**octave + 1, 2**octave + 1))
        layer = Image.fromarray(values.astype(np.float32)).resize((900, 600), Image.Resampling.BICUBIC)
        shapes += np.asarray(layer) / 2 ** (0.7 * octave)
    pixels = np.asarray(ground, np.float32) + (spread * shapes / shapes.std())[..., None]
    return noisy(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), 3, rng)


# kind -> a picture of little information, another one each time
PLAIN: dict[str, Callable[[random.Random], Image.Image]] = {
    "letters": letter,
    "pages of a book": book_page,
    "chats": chat,
    "receipts": receipt,
    "moons": moon,
    "fireworks": fireworks,
    "skies": lambda rng: clouds(rng, ground=(90, 140, 215), spread=14),
    "fog": lambda rng: clouds(rng, ground=(190, 194, 198), spread=6),
    "snow": lambda rng: clouds(rng, ground=(238, 240, 245), spread=6),
}
