"""Procedural backgrounds for the pocket world: numpy in, uint8 RGB out.

Each scene is a small painter `(rng, size) -> [size, size, 3] float in 0..1`. They are crude on purpose: at
128 pixels a viewer reads a beach from three bands of colour and a texture, and a painter that takes
milliseconds gives the model thousands of different beaches.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

Painter = Callable[[Generator, int], np.ndarray]


def _resize(a: np.ndarray, h: int, w: int) -> np.ndarray:
    return np.asarray(
        Image.fromarray(a.astype(np.float32), "F").resize((w, h), Image.Resampling.BICUBIC)
    )


def fbm(
    rng: Generator, h: int, w: int, cells: float = 4, octaves: int = 4, stretch: float = 1.0
) -> np.ndarray:
    """Fractal noise in about -1..1; `stretch` > 1 draws it out horizontally."""
    out = np.zeros((h, w), np.float32)
    amplitude = 1.0
    for _ in range(octaves):
        gh, gw = max(2, round(cells)), max(2, round(cells / stretch))
        out += amplitude * _resize(rng.standard_normal((gh + 1, gw + 1)), h, w)
        amplitude *= 0.55
        cells *= 2
    return out / 1.6


def _rgb(*c: float) -> np.ndarray:
    return np.array(c, np.float32) / 255


def _jitter(rng: Generator, c: np.ndarray, amount: float = 0.05) -> np.ndarray:
    return np.clip(c + rng.normal(0, amount, 3) * 0.6 + rng.normal(0, amount), 0, 1)


def _gradient(top: np.ndarray, bottom: np.ndarray, h: int, w: int) -> np.ndarray:
    t = np.linspace(0, 1, h, dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - t) + bottom * t, (h, w, 3)).copy()


def _sky(rng: Generator, h: int, w: int, clouds: float = 0.6) -> np.ndarray:
    top = _jitter(rng, _rgb(80, 145, 215), 0.06)
    sky = _gradient(top, _jitter(rng, _rgb(190, 220, 240), 0.04), h, w)
    c = np.clip(fbm(rng, h, w, 3, 4, 2.2) - rng.uniform(-0.1, 0.6), 0, 1)[..., None] * clouds
    return sky * (1 - c) + c


def _perspective_noise(
    rng: Generator, h: int, w: int, near: float, far: float, stretch: float = 2.0
) -> np.ndarray:
    """Noise that grows coarser toward the bottom edge, as ground does toward the viewer."""
    t = np.linspace(0, 1, h, dtype=np.float32)[:, None] ** 1.5
    return fbm(rng, h, w, far, 3, stretch) * (1 - t) + fbm(rng, h, w, near, 4, stretch) * t


def _ground(
    rng: Generator, size: int, horizon: int, colour: np.ndarray, contrast: float, cells: float = 14
) -> np.ndarray:
    h = size - horizon
    n = _perspective_noise(rng, h, size, cells, cells * 3)[..., None]
    shade = np.linspace(0.92, 1.05, h, dtype=np.float32)[:, None, None]
    return np.clip(colour * shade * (1 + contrast * n), 0, 1)


def _stack(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.concatenate([top, bottom], 0)


def beach(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.22, 0.42))
    shore = s * rng.uniform(0.52, 0.68)
    sky = _sky(rng, horizon, s)
    sea_h = s - horizon
    sea = _gradient(
        _jitter(rng, _rgb(30, 95, 150), 0.04), _jitter(rng, _rgb(80, 185, 195), 0.05), sea_h, s
    )
    sea *= 1 + 0.16 * fbm(rng, sea_h, s, 24, 3, 7)[..., None]
    picture = _stack(sky, sea)
    sand = _ground(rng, s, 0, _jitter(rng, _rgb(226, 200, 150), 0.04), 0.06, 30)
    y = np.arange(s, dtype=np.float32)[:, None]
    line = (
        shore
        + fbm(rng, 1, s, 3, 2)[0] * s * 0.04
        + np.linspace(-1, 1, s) * s * rng.uniform(-0.06, 0.06)
    )
    on_sand = np.clip((y - line) / 2, 0, 1)[..., None]
    wet = np.exp(-np.clip((y - line), 0, None) / (0.05 * s))[..., None]
    foam = np.exp(-(((y - line + 2) / (0.014 * s)) ** 2))[..., None]
    picture = picture * (1 - on_sand) + sand * (1 - 0.28 * wet) * on_sand
    return picture * (1 - foam) + foam * 0.97


def snow(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.3, 0.5))
    sky = _gradient(
        _jitter(rng, _rgb(165, 195, 225), 0.05), _jitter(rng, _rgb(225, 232, 240), 0.03), horizon, s
    )
    ground = np.clip(
        _rgb(238, 243, 250) * (1 + 0.05 * _perspective_noise(rng, s - horizon, s, 4, 8)[..., None]),
        0,
        1,
    )
    picture = _stack(sky, ground)
    image = _image(picture)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 9)):
        _pine(
            draw,
            rng,
            rng.uniform(0, s),
            horizon + rng.uniform(0, 0.06) * s,
            s * rng.uniform(0.1, 0.26),
            (70, 95, 95),
            snowy=True,
        )
    for _ in range(rng.integers(0, 90)):
        x, y, r = rng.uniform(0, s), rng.uniform(0, s), rng.uniform(0.3, 1.1)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(255, 255, 255))
    return _array(image)


def _image(a: np.ndarray) -> Image.Image:
    return Image.fromarray((np.clip(a, 0, 1) * 255).astype(np.uint8))


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32) / 255


def _pine(
    draw: ImageDraw.ImageDraw,
    rng: Generator,
    x: float,
    base: float,
    height: float,
    colour: tuple,
    snowy: bool = False,
) -> None:
    draw.rectangle(
        (x - height * 0.03, base - height * 0.15, x + height * 0.03, base), fill=(80, 60, 45)
    )
    for i in range(3):
        top, half = base - height * (1 - 0.25 * i), height * (0.16 + 0.07 * i)
        bottom = top + height * 0.42
        shade = tuple(int(v * rng.uniform(0.85, 1.1)) for v in colour)
        draw.polygon([(x, top), (x - half, bottom), (x + half, bottom)], fill=shade)
        if snowy:
            draw.polygon(
                [
                    (x, top),
                    (x - half * 0.5, top + height * 0.2),
                    (x + half * 0.4, top + height * 0.17),
                ],
                fill=(240, 245, 250),
            )


def grass(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.22, 0.45))
    h = s - horizon
    colour = _jitter(rng, _rgb(95, 150, 55), 0.06)
    blades = fbm(rng, h, s, 20, 3, 0.35) * np.linspace(0.15, 0.4, h)[:, None]
    ground = np.clip(
        colour * (1 + blades[..., None] + 0.1 * fbm(rng, h, s, 4, 2, 2)[..., None]), 0, 1
    )
    image = _image(_stack(_sky(rng, horizon, s), ground))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.5:
        shade = (60, 105, 45)
        for x in np.linspace(0, s, 9):
            r = s * rng.uniform(0.03, 0.09)
            draw.ellipse(
                (x - r * 1.6, horizon - r, x + r * 1.6, horizon + r * 0.5),
                fill=tuple(int(c * rng.uniform(0.8, 1.1)) for c in shade),
            )
    return _array(image.filter(ImageFilter.GaussianBlur(0.4)))


def flower_field(rng: Generator, s: int) -> np.ndarray:
    image = _image(grass(rng, s))
    draw = ImageDraw.Draw(image)
    hue = [(250, 210, 50), (235, 70, 90), (250, 250, 250), (190, 110, 220), (255, 150, 190)][
        rng.integers(5)
    ]
    for _ in range(rng.integers(60, 160)):
        y = s * (0.4 + 0.6 * rng.random() ** 0.8)
        r = 0.6 + 2.6 * (y / s - 0.38)
        x = rng.uniform(0, s)
        draw.ellipse(
            (x - r, y - r, x + r, y + r), fill=tuple(int(c * rng.uniform(0.85, 1)) for c in hue)
        )
    return _array(image)


def wheat(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.25, 0.45))
    h = s - horizon
    blades = fbm(rng, h, s, 26, 3, 0.25) * np.linspace(0.12, 0.4, h)[:, None]
    ground = np.clip(_jitter(rng, _rgb(222, 180, 80), 0.04) * (1 + blades[..., None]), 0, 1)
    return _stack(_sky(rng, horizon, s), ground)


def _trunks(rng: Generator, s: int, n: int, colour: np.ndarray, width: float) -> Image.Image:
    layer = Image.new("RGBA", (s, s), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for _ in range(n):
        x, w = rng.uniform(0, s), s * width * rng.uniform(0.5, 1.4)
        c = tuple(int(255 * v) for v in _jitter(rng, colour, 0.03))
        lean = rng.uniform(-3, 3)
        base = s * rng.uniform(0.55, 0.75)
        draw.polygon(
            [(x - w / 2, base), (x + w / 2, base), (x + w / 3 + lean, 0), (x - w / 3 + lean, 0)],
            fill=(*c, 255),
        )
        draw.polygon(
            [(x + w / 5, base), (x + w / 2, base), (x + w / 3 + lean, 0), (x + w / 5 + lean, 0)],
            fill=(*(int(v * 0.7) for v in c), 255),
        )
    return layer


def forest(rng: Generator, s: int) -> np.ndarray:
    leaf = fbm(rng, s, s, 10, 4)[..., None]
    depth = _gradient(
        _jitter(rng, _rgb(60, 105, 50), 0.04), _jitter(rng, _rgb(120, 150, 90), 0.05), s, s
    )
    image = _image(depth * (1 + 0.45 * leaf))
    far = _trunks(rng, s, int(rng.integers(5, 12)), _rgb(90, 85, 65), 0.035)
    image.paste(far, (0, 0), far)
    near = _trunks(rng, s, int(rng.integers(2, 6)), _rgb(75, 55, 40), 0.09)
    image.paste(near, (0, 0), near)
    picture = _array(image)
    horizon = int(s * rng.uniform(0.58, 0.7))
    floor = _ground(rng, s, horizon, _jitter(rng, _rgb(85, 100, 50), 0.05), 0.3, 20)
    t = np.clip((np.arange(s, dtype=np.float32)[:, None, None] - horizon) / (0.06 * s), 0, 1)
    return picture * (1 - t) + _stack(np.zeros((horizon, s, 3), np.float32), floor) * t


def jungle(rng: Generator, s: int) -> np.ndarray:
    image = _image(
        _gradient(_rgb(25, 70, 35), _jitter(rng, _rgb(50, 110, 40), 0.04), s, s)
        * (1 + 0.3 * fbm(rng, s, s, 8)[..., None])
    )
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(45, 90)):
        x, y = rng.uniform(0, s), rng.uniform(0, s)
        if 0.25 < x / s < 0.75 and 0.3 < y / s < 0.9 and rng.random() < 0.7:
            continue
        length, angle = s * rng.uniform(0.1, 0.28), rng.uniform(0, 6.28)
        dx, dy = np.cos(angle) * length, np.sin(angle) * length
        px, py = -dy * 0.16, dx * 0.16
        g = rng.uniform(0.5, 1.25)
        c = (int(50 * g), int(140 * g), int(55 * g))
        draw.polygon(
            [
                (x, y),
                (x + dx / 2 + px, y + dy / 2 + py),
                (x + dx, y + dy),
                (x + dx / 2 - px, y + dy / 2 - py),
            ],
            fill=c,
        )
        draw.line((x, y, x + dx, y + dy), fill=tuple(int(v * 1.25) for v in c))
    return _array(image)


def autumn(rng: Generator, s: int) -> np.ndarray:
    image = _image(forest(rng, s)[..., [1, 0, 2]] * np.array([1.5, 0.85, 0.5], np.float32))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(80, 220)):
        x, y, r = rng.uniform(0, s), s * rng.random() ** 0.6, rng.uniform(0.8, 2.6)
        c = [(220, 90, 30), (235, 160, 40), (190, 50, 30), (240, 200, 70)][rng.integers(4)]
        draw.ellipse((x - r, y - r * 0.7, x + r, y + r * 0.7), fill=c)
    return _array(image)


def water(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.1, 0.3))
    h = s - horizon
    sea = _gradient(
        _jitter(rng, _rgb(60, 125, 165), 0.05), _jitter(rng, _rgb(20, 80, 130), 0.05), h, s
    )
    waves = _perspective_noise(rng, h, s, 10, 40, 5)
    sea = sea * (1 + 0.22 * waves[..., None]) + 0.35 * np.clip(waves - 0.75, 0, 1)[..., None]
    return _stack(_sky(rng, horizon, s), sea)


def underwater(rng: Generator, s: int) -> np.ndarray:
    picture = _gradient(
        _jitter(rng, _rgb(60, 180, 210), 0.04), _jitter(rng, _rgb(10, 60, 110), 0.04), s, s
    )
    rays = fbm(rng, 1, s, 9, 2)[0][None, :, None] * np.linspace(0.22, 0, s)[:, None, None]
    image = _image(picture * (1 + rays) + 0.05 * fbm(rng, s, s, 6, 3, 2)[..., None])
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(5, 30)):
        x, y, r = rng.uniform(0, s), rng.uniform(0, s), rng.uniform(0.8, 3)
        draw.ellipse((x - r, y - r, x + r, y + r), outline=(190, 235, 245))
    return _array(image)


def desert(rng: Generator, s: int) -> np.ndarray:
    sky = _gradient(
        _jitter(rng, _rgb(95, 160, 220), 0.05), _jitter(rng, _rgb(245, 225, 185), 0.04), s, s
    )
    y, x = np.mgrid[0:s, 0:s].astype(np.float32)
    picture, base = sky, _jitter(rng, _rgb(222, 165, 95), 0.04)
    for k in range(3):
        ridge = s * (0.36 + 0.17 * k + 0.05 * rng.random()) + s * 0.07 * np.sin(
            x / s * rng.uniform(2, 6) + rng.uniform(0, 6)
        )
        light = 1.08 - 0.3 * np.clip((y - ridge) / (0.25 * s), 0, 1) * (
            0.6 + 0.4 * np.sin(x / s * 5 + k * 2)
        )
        ripple = 0.05 * np.sin((y * 1.1 + 2.5 * fbm(rng, s, s, 5, 2)) * 0.9)
        dune = base * (light + ripple)[..., None]
        picture = np.where((y > ridge)[..., None], dune, picture)
    return picture


def mountain(rng: Generator, s: int) -> np.ndarray:
    picture = _sky(rng, s, s)
    y = np.arange(s, dtype=np.float32)[:, None]
    for k, (level, amplitude) in enumerate([(0.32, 0.22), (0.45, 0.16), (0.62, 0.06)]):
        ridge = s * level + s * amplitude * fbm(rng, 1, s, 4 + 2 * k, 5)[0]
        rock = _jitter(rng, [_rgb(110, 120, 145), _rgb(85, 95, 110), _rgb(85, 125, 65)][k], 0.04)
        layer = rock * (1 + 0.35 * fbm(rng, s, s, 14, 3, 0.7))[..., None]
        if k < 2:
            cap = np.clip(1.2 - (y - ridge) / (s * 0.12) + 0.8 * fbm(rng, s, s, 12, 3), 0, 1)[
                ..., None
            ]
            layer = layer * (1 - cap) + 0.96 * cap
        picture = np.where((y > ridge)[..., None], layer, picture)
    return picture


def city(rng: Generator, s: int) -> np.ndarray:
    ground = int(s * rng.uniform(0.58, 0.7))
    image = _image(_sky(rng, s, s))
    draw = ImageDraw.Draw(image)
    for row in range(2):
        x = -rng.uniform(0, 10)
        while x < s:
            w, h = s * rng.uniform(0.1, 0.22), s * rng.uniform(0.22, 0.6 - 0.1 * row)
            c = [
                (150, 140, 135),
                (170, 120, 95),
                (120, 130, 145),
                (190, 180, 165),
                (105, 100, 105),
            ][rng.integers(5)]
            c = tuple(int(v * (0.8 + 0.2 * row) * rng.uniform(0.85, 1.1)) for v in c)
            draw.rectangle((x, ground - h, x + w, ground), fill=c)
            lit = [(235, 220, 150), (80, 95, 115)][int(rng.random() < 0.7)]
            for wy in np.arange(ground - h + 4, ground - 4, 7):
                for wx in np.arange(x + 3, x + w - 4, 6):
                    draw.rectangle((wx, wy, wx + 3, wy + 4), fill=lit)
            x += w + rng.uniform(-1, 3)
    picture = _array(image)
    road = _ground(rng, s, ground, _jitter(rng, _rgb(105, 105, 110), 0.03), 0.07, 30)
    picture[ground:] = road
    image = _image(picture)
    draw = ImageDraw.Draw(image)
    walk = ground + s * 0.06
    draw.rectangle((0, ground, s, walk), fill=(175, 172, 168))
    middle = ground + (s - ground) * 0.6
    for x in np.arange(-rng.uniform(0, 20), s, 30):
        draw.polygon(
            [(x, middle), (x + 15, middle), (x + 14, middle + 3), (x - 2, middle + 3)],
            fill=(235, 230, 215),
        )
    return _array(image)


def cobblestone(rng: Generator, s: int) -> np.ndarray:
    image = _image(_gradient(_jitter(rng, _rgb(130, 120, 110), 0.05), _rgb(90, 85, 80), s, s))
    draw = ImageDraw.Draw(image)
    y, h = s * rng.uniform(0.18, 0.35), 4.0
    top = y
    wall = tuple(int(255 * v) for v in _jitter(rng, _rgb(175, 150, 120), 0.06))
    draw.rectangle((0, 0, s, y), fill=wall)
    for x in np.arange(rng.uniform(0, 15), s, s * 0.3):
        draw.rectangle((x, top * 0.2, x + s * 0.1, top * 0.75), fill=(75, 85, 100))
    while y < s:
        w, x = h * 1.7, -rng.uniform(0, h)
        while x < s:
            g = rng.uniform(0.75, 1.15)
            c = (int(140 * g), int(135 * g), int(130 * g))
            draw.rounded_rectangle(
                (x + 0.6, y + 0.6, x + w - 0.6, y + h - 0.6), radius=h * 0.3, fill=c
            )
            x += w * rng.uniform(0.9, 1.1)
        y += h
        h *= 1.16
    return _array(image.filter(ImageFilter.GaussianBlur(0.4)))


def _planks(rng: Generator, h: int, s: int, colour: np.ndarray, n: int) -> np.ndarray:
    """Boards running away from the viewer to a vanishing point above the floor."""
    y, x = np.mgrid[0:h, 0:s].astype(np.float32)
    depth = 0.35 + 0.65 * (y + 1) / h
    u = (x - s / 2) / (s / n) / depth + 50 + rng.random()
    board = np.floor(u)
    tone = rng.uniform(0.85, 1.1, 200)[board.astype(int) % 200]
    seam = np.clip(1 - np.minimum(u - board, 1 - (u - board)) / 0.05, 0, 1)
    grain = fbm(rng, h, s, 40, 2, 0.2)
    return np.clip(colour * (tone * (1 - 0.45 * seam) + 0.07 * grain)[..., None], 0, 1)


def wooden_floor(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.25, 0.5))
    wall = _gradient(
        *[_jitter(rng, _rgb(*c), 0.05) for c in [(225, 218, 205), (205, 196, 182)]], horizon, s
    )
    board = 3
    wall[-board:] = _rgb(245, 242, 236)
    floor = _planks(
        rng, s - horizon, s, _jitter(rng, _rgb(172, 118, 70), 0.06), int(rng.integers(5, 10))
    )
    return _stack(wall, floor)


def table(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.45, 0.62))
    back = np.clip(
        _jitter(
            rng, _rgb(*[(140, 150, 150), (190, 170, 150), (110, 120, 140)][rng.integers(3)]), 0.08
        )
        * (1 + 0.3 * fbm(rng, horizon, s, 3, 2)[..., None]),
        0,
        1,
    )
    top = np.clip(
        _jitter(rng, _rgb(150, 98, 58), 0.06)
        * (1 + 0.12 * fbm(rng, s - horizon, s, 30, 3, 8)[..., None]),
        0,
        1,
    )
    top[:3] *= 1.15
    return _stack(back, top)


def indoors(rng: Generator, s: int) -> np.ndarray:
    wall = tuple(
        int(255 * v)
        for v in _jitter(
            rng,
            _rgb(
                *[(222, 212, 190), (180, 200, 205), (205, 190, 200), (190, 205, 180)][
                    rng.integers(4)
                ]
            ),
            0.05,
        )
    )
    ground = s * rng.uniform(0.55, 0.7)
    image = Image.new("RGB", (s, s), wall)
    draw = ImageDraw.Draw(image)
    carpet = tuple(
        int(255 * v)
        for v in _jitter(
            rng, _rgb(*[(165, 140, 115), (140, 120, 120), (185, 175, 160)][rng.integers(3)]), 0.05
        )
    )
    draw.rectangle((0, ground, s, s), fill=carpet)
    draw.rectangle((0, ground - 3, s, ground), fill=(245, 243, 238))
    x = s * rng.uniform(0.05, 0.55)
    w, h = s * rng.uniform(0.22, 0.35), s * rng.uniform(0.25, 0.38)
    top = s * rng.uniform(0.05, 0.15)
    draw.rectangle((x - 3, top - 3, x + w + 3, top + h + 3), fill=(250, 248, 244))
    draw.rectangle((x, top, x + w, top + h), fill=(165, 205, 235))
    draw.rectangle((x + w / 2 - 1, top, x + w / 2 + 1, top + h), fill=(250, 248, 244))
    draw.rectangle((x, top + h / 2 - 1, x + w, top + h / 2 + 1), fill=(250, 248, 244))
    fabric = tuple(int(v) for v in rng.uniform(60, 190, 3))
    if rng.random() < 0.6:
        left = -s * 0.1 if rng.random() < 0.5 else s * 0.6
        draw.rounded_rectangle(
            (left, ground - s * 0.24, left + s * 0.5, ground + s * 0.1), radius=8, fill=fabric
        )
        draw.rounded_rectangle(
            (left, ground - s * 0.08, left + s * 0.5, ground + s * 0.12),
            radius=6,
            fill=tuple(int(v * 0.85) for v in fabric),
        )
    picture = _array(image)
    return np.clip(
        picture
        * (1 + 0.03 * fbm(rng, s, s, 40, 2)[..., None] + 0.12 * fbm(rng, s, s, 2, 1)[..., None]),
        0,
        1,
    )


def brick_wall(rng: Generator, s: int) -> np.ndarray:
    image = Image.new("RGB", (s, s), tuple(int(v) for v in rng.uniform(165, 205, 3)))
    draw = ImageDraw.Draw(image)
    h = s / rng.integers(9, 14)
    colour = _rgb(*[(165, 80, 60), (150, 95, 75), (180, 105, 70)][rng.integers(3)])
    for i, y in enumerate(np.arange(-rng.uniform(0, h), s * 0.86, h)):
        for x in np.arange(-h * 2 - (i % 2) * h * 1.1, s, h * 2.2):
            c = tuple(int(255 * v) for v in _jitter(rng, colour, 0.04))
            draw.rectangle((x + 1, y + 1, x + h * 2.2 - 1, y + h - 1), fill=c)
    picture = _array(image)
    g = int(s * 0.86)
    picture[g:] = _ground(rng, s, g, _rgb(140, 135, 130), 0.08, 30)
    return np.clip(picture * (1 + 0.06 * fbm(rng, s, s, 30, 3)[..., None]), 0, 1)


def rug(rng: Generator, s: int) -> np.ndarray:
    picture = wooden_floor(rng, s)
    y, x = np.mgrid[0:s, 0:s].astype(np.float32) / s
    d = ((x - 0.5) / 0.55) ** 2 + ((y - 0.82) / 0.26) ** 2
    colour = np.array(rng.uniform(0.3, 0.9, 3), np.float32)
    weave = 1 + 0.08 * fbm(rng, s, s, 50, 2)[..., None]
    border = (np.abs(d - 0.8) < 0.09)[..., None]
    cloth = np.where(border, colour * 0.55 + 0.3, colour) * weave
    return np.where((d < 1)[..., None], cloth, picture)


def sunset(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.5, 0.68))
    sky = _gradient(
        _jitter(rng, _rgb(90, 65, 130), 0.05), _jitter(rng, _rgb(250, 165, 80), 0.04), horizon, s
    )
    bands = fbm(rng, horizon, s, 5, 4, 3)[..., None]
    sky = np.clip(sky + _rgb(60, 10, -20) * bands * 0.8, 0, 1)
    y, x = np.mgrid[0:horizon, 0:s].astype(np.float32)
    cx, cy, r = (
        s * rng.uniform(0.2, 0.8),
        horizon * rng.uniform(0.7, 0.98),
        s * rng.uniform(0.05, 0.1),
    )
    d = np.hypot(x - cx, y - cy)
    glow = np.exp(-d / (0.25 * s))[..., None]
    sky = np.clip(sky + glow * _rgb(120, 80, 20), 0, 1)
    sky[d < r] = _rgb(255, 240, 180)
    below = _ground(
        rng,
        s,
        horizon,
        _jitter(rng, _rgb(*[(70, 45, 55), (110, 60, 60), (45, 40, 60)][rng.integers(3)]), 0.03),
        0.2,
        16,
    )
    if rng.random() < 0.5:
        h = s - horizon
        path = np.exp(-np.abs(np.arange(s) - cx) / (0.09 * s))[None, :, None] * (
            0.6 + 0.4 * fbm(rng, h, s, 24, 2, 5)[..., None]
        )
        below = np.clip(below + path * _rgb(190, 120, 50), 0, 1)
    return _stack(sky, below)


def _stars(rng: Generator, picture: np.ndarray, n: int, bottom: int) -> np.ndarray:
    s = picture.shape[1]
    ys, xs = rng.integers(0, bottom, n), rng.integers(0, s, n)
    picture[ys, xs] = np.clip(rng.uniform(0.6, 1.0, (n, 1)) * np.array([1, 1, 0.95]), 0, 1)
    for y, x in zip(ys[: n // 8], xs[: n // 8], strict=True):
        picture[max(0, y - 1) : y + 2, x] = picture[y, max(0, x - 1) : x + 2] = 0.95
    return picture


def night(rng: Generator, s: int) -> np.ndarray:
    horizon = int(s * rng.uniform(0.55, 0.72))
    sky = _gradient(
        _jitter(rng, _rgb(12, 16, 45), 0.02), _jitter(rng, _rgb(40, 55, 100), 0.03), horizon, s
    )
    sky = _stars(rng, sky, int(rng.integers(30, 90)), horizon)
    image = _image(_stack(sky, _ground(rng, s, horizon, _jitter(rng, _rgb(28, 38, 45), 0.02), 0.2)))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.75:
        x, y, r = (
            s * rng.uniform(0.1, 0.9),
            s * rng.uniform(0.08, 0.25),
            s * rng.uniform(0.04, 0.08),
        )
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(240, 238, 215))
    return _array(image)


def space(rng: Generator, s: int) -> np.ndarray:
    a, b = (np.clip(fbm(rng, s, s, 3, 4), 0, 1)[..., None] for _ in range(2))
    picture = (
        _rgb(6, 6, 16)
        + a * _rgb(*rng.uniform(20, 150, 3)) * 0.7
        + b * _rgb(*rng.uniform(20, 150, 3)) * 0.5
    )
    image = _image(_stars(rng, np.clip(picture, 0, 1), int(rng.integers(60, 170)), s))
    if rng.random() < 0.35:
        x, y, r = (
            s * rng.choice([0.12, 0.88]),
            s * rng.uniform(0.1, 0.9),
            s * rng.uniform(0.07, 0.2),
        )
        ImageDraw.Draw(image).ellipse(
            (x - r, y - r, x + r, y + r), fill=tuple(int(v) for v in rng.uniform(80, 220, 3))
        )
    return _array(image)


def in_the_sky(rng: Generator, s: int) -> np.ndarray:
    return _sky(rng, s, s, 0.9)


COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (205, 40, 45), "orange": (240, 135, 40), "yellow": (245, 210, 60), "green": (70, 160, 75), "blue": (50, 100, 200),
    "purple": (130, 70, 170), "pink": (240, 150, 185), "brown": (125, 82, 52), "black": (28, 28, 30), "white": (244, 244, 242),
    "gray": (140, 142, 146),
}  # fmt: skip


def plain(colour: str) -> Painter:
    def paint(rng: Generator, s: int) -> np.ndarray:
        c = _jitter(rng, _rgb(*COLOURS[colour]), 0.025)
        y, x = np.mgrid[-1 : 1 : s * 1j, -1 : 1 : s * 1j]
        light = (
            1.04
            - rng.uniform(0, 0.16) * (x**2 + y**2)
            + rng.uniform(-0.06, 0.06) * x
            + rng.uniform(-0.06, 0.06) * y
        )
        return np.clip(c * light[..., None], 0, 1)

    return paint


_AN = {"orange": "an"}
#: scene name -> (painter, phrases that a caption may use, whether things stand on a ground and cast a shadow)
SCENES: dict[str, tuple[Painter, tuple[str, ...], bool]] = {
    "beach": (beach, ("on a beach", "on the beach", "on a sandy beach", "at the beach"), True),
    "snow": (snow, ("in the snow", "in snow", "on snow", "in a snowy landscape"), True),
    "grass": (grass, ("on grass", "on the grass", "on green grass", "in a meadow", "in a park"), True),
    "flower field": (flower_field, ("in a flower field", "in a field of flowers", "in a garden"), True),
    "wheat field": (wheat, ("in a wheat field", "with a wheat field in the background"), True),
    "forest": (forest, ("in a forest", "in the forest", "in the woods", "among trees"), True),
    "jungle": (jungle, ("in the jungle", "in a jungle"), True),
    "autumn": (autumn, ("in an autumn forest", "in autumn leaves", "with autumn leaves in the background"), True),
    "water": (water, ("in the water", "on water", "floating on water", "in the sea", "on a lake"), False),
    "underwater": (underwater, ("under water", "underwater", "under the sea"), False),
    "desert": (desert, ("in the desert", "in a desert", "on sand dunes"), True),
    "mountain": (mountain, ("in the mountains", "with a mountain in the background", "on a mountain"), True),
    "city street": (city, ("on a city street", "in the city", "on a street", "with a city in the background"), True),
    "cobblestone": (cobblestone, ("on a cobblestone street", "on cobblestones"), True),
    "wooden floor": (wooden_floor, ("on a wooden floor", "on the floor", "on top of a wooden floor"), True),
    "table": (table, ("on a table", "on a wooden table", "on the table"), True),
    "indoors": (indoors, ("indoors", "in a room", "in a living room", "at home"), True),
    "rug": (rug, ("on a rug", "on a carpet"), True),
    "brick wall": (brick_wall, ("in front of a brick wall", "against a brick wall"), True),
    "sunset": (sunset, ("at sunset", "in the sunset", "with a sunset in the background"), True),
    "night": (night, ("at night", "in the night", "under the stars"), True),
    "space": (space, ("in space", "in outer space", "floating in space"), False),
    "sky": (in_the_sky, ("in the sky", "in the clouds"), False),
} | {
    f"{c} background": (plain(c), (*tuple(f"{p} {_AN.get(c, 'a')} {c} {n}" for p, n in (("on", "background"), ("against", "wall"))), f"on {c}"), True) for c in COLOURS
}  # fmt: skip


def paint(name: str, seed: int, size: int) -> np.ndarray:
    """One picture of the named scene: [size, size, 3] uint8."""
    rng = np.random.default_rng(seed)
    return (np.clip(SCENES[name][0](rng, size), 0, 1) * 255).astype(np.uint8)
