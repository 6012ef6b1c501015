"""Photographs as people take them, with the subject's outline known: what `train_saliency` learns from.

A cut-out of the world is the largest thing and somewhere near the middle. Behind it is a photograph or a painted scene. It may stand on a
table, a plate or a block; lesser things are beside it, one may be before it; the whole is dimmed, lit from one side, tinted, out of
focus. Its colours are often drawn towards those behind it, so that shape has to tell them apart.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from recipes.pocket.world import SIZE, World

PHOTOGRAPHED = 0.6
"""Share of backgrounds that are crops of photographs, not painted."""

STYLES = {"photo": 4.0, "render": 1.0, "cartoon": 0.7}
"""How often a cut-out of each style comes."""


@dataclass
class Stand:
    """Where things stand: middle `x`, lower edge `base`, longer side `size`, all [B,1,1,1] in sides of the picture."""

    x: Tensor
    base: Tensor
    size: Tensor


class Studio:
    """Puts pictures together. `painted` and `photographed` are [N,3,160,160] uint8; random numbers are torch's own."""

    def __init__(
        self, world: World, painted: Tensor, photographed: Tensor, held_out: bool = False
    ) -> None:
        self.painted, self.photographed = painted, photographed
        pool = [i for i, s in enumerate(world.subjects) if s.held_out == held_out]
        self.sprites = world.sprites[pool]
        self.weight = torch.tensor([STYLES[world.subjects[i].style] for i in pool])
        axis = (torch.arange(SIZE) + 0.5) / SIZE
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")

    def pictures(self, b: int, photos: int = 1) -> tuple[Tensor, Tensor]:
        """RGB [B,3,128,128] and the subject's alpha [B,1,128,128], both in 0..1; `photos` at a time show one subject."""
        stand = self._stand(b)
        subject = self._cut_outs(b // photos).repeat_interleave(photos, 0)
        picture = self._backgrounds(b)
        picture = sometimes(0.55, picture, self._table(picture, stand))
        picture = sometimes(0.5, picture, self._platform(picture, stand, subject))
        for _ in range(3):
            # among several photos even a larger thing is beside the point, if one of them alone shows it
            lesser = self._beside(stand, largest=0.6 if photos == 1 else 1.3)
            picture = sometimes(0.35, picture, pasted(picture, self._cut_outs(b), lesser)[0])
        picture = sometimes(0.35, picture, blurred(picture, 7)) * (1 - self._shadow(stand))
        picture, alpha = pasted(picture, subject, stand, hidden=0.35)
        covered, over = pasted(picture, self._cut_outs(b), self._before(stand))
        front = torch.rand(b, 1, 1, 1) < 0.2
        return self._lit(torch.where(front, covered, picture)), alpha * (1 - over * front)

    def _stand(self, b: int) -> Stand:
        large = torch.rand(b, 1, 1, 1) < 0.15  # cut by the frame
        size = torch.where(large, uniform(b, 0.9, 1.5), uniform(b, 0.28, 0.9))
        x = 0.5 + uniform(b, -0.22, 0.22) * (1.15 - size).clamp(min=0.1)
        base = torch.where(large, uniform(b, 0.9, 1.3), 0.5 + size / 2 + uniform(b, -0.15, 0.2))
        return Stand(x, base.clamp(max=1.35), size)

    def _cut_outs(self, b: int) -> Tensor:
        """Cut-outs [B,4,128,128] in 0..1, some of them dyed."""
        sprite = self.sprites[torch.multinomial(self.weight, b, replacement=True)].float() / 255
        colour = sprite[:, :3] ** uniform(b, 0.6, 1.7)
        hue = torch.rand(b, 3, 1, 1)
        dyed = colour.mean(1, keepdim=True) * hue / hue.mean(1, keepdim=True)
        return torch.cat([sometimes(0.3, colour, dyed).clamp(0, 1), sprite[:, 3:]], 1)

    def _backgrounds(self, b: int) -> Tensor:
        """Windows [B,3,128,128] of pictures, at any zoom, some of them nearly plain."""
        photographed, painted = (
            bank[torch.randint(len(bank), (b,))] for bank in (self.photographed, self.painted)
        )
        source = sometimes(PHOTOGRAPHED, painted, photographed).float() / 255
        zoom, flip = uniform(b, 0.3, 0.98)[:, 0, 0], signs(b)[:, 0, 0]
        at = (1 - zoom) * (torch.rand(b, 2) * 2 - 1)
        nothing = torch.zeros_like(zoom)
        theta = torch.stack([zoom * flip, nothing, at[:, :1], nothing, zoom, at[:, 1:]], 1)
        grid = F.affine_grid(theta.view(b, 2, 3), [b, 3, SIZE, SIZE], align_corners=False)
        window = F.grid_sample(source, grid, align_corners=False, padding_mode="border")
        mean = window.mean((2, 3), keepdim=True)
        window = sometimes(0.2, window, mean + 0.15 * (window - mean))
        return (window * uniform(b, 0.5, 1.2, 3) ** torch.rand(b, 1, 1, 1)).clamp(0, 1)

    def _table(self, picture: Tensor, stand: Stand) -> Tensor:
        """Something else below a line behind the subject's foot; half of them have a darker front."""
        b = len(picture)
        tilt = sometimes(0.5, torch.zeros(b, 1, 1, 1), uniform(b, -0.15, 0.15)) * (self.x - 0.5)
        below = edge(self.y - (stand.base - stand.size * uniform(b, 0.0, 0.35)) - tilt)
        front = edge(self.y - (stand.base + stand.size * uniform(b, 0.05, 0.4)) - tilt)
        top = self._backgrounds(b) * uniform(b, 0.3, 1.2, 3)
        top = sometimes(0.5, top, top * (1 - front * uniform(b, 0.1, 0.8))).clamp(0, 1)
        return picture * (1 - below) + top * below

    def _platform(self, picture: Tensor, stand: Stand, subject: Tensor) -> Tensor:
        """A plate or a block under the subject, of any colour, often of the subject's own."""
        b = len(picture)
        x = self.x - stand.x - stand.size * uniform(b, -0.15, 0.15)
        half = stand.size * uniform(b, 0.35, 1.2)
        is_block = torch.rand(b, 1, 1, 1) < 0.5
        plate, rim = self._plate(x, half, stand)
        block, side = self._block(x, half, stand)
        cover, shade = torch.where(is_block, block, plate), torch.where(is_block, side, rim)
        own = mean_colour(subject[:, :3], subject[:, 3:])
        colour = sometimes(0.6, own, torch.rand(b, 3, 1, 1)) * uniform(b, 0.5, 1.2)
        grain = self._backgrounds(b)
        grain = grain / grain.mean((2, 3), keepdim=True).clamp(min=0.05) - 1
        matter = (colour * (1 + uniform(b, 0.1, 1.0) * grain) * shade).clamp(0, 1)
        return picture * (1 - cover) + matter * cover

    def _plate(self, x: Tensor, half: Tensor, stand: Stand) -> tuple[Tensor, Tensor]:
        """Cover and shade [B,1,128,128] of a disc seen from the side or, its middle behind the subject, from above."""
        b = len(x)
        from_above = stand.size * uniform(b, 0.0, 0.5)
        middle = stand.base - sometimes(0.5, torch.zeros_like(from_above), from_above)
        depth = 1 - (x / half) ** 2 - ((self.y - middle) / (half * uniform(b, 0.1, 0.9))) ** 2
        rim = 1 - 0.5 * (depth * 6).clamp(0, 1) * (1 - (depth * 3).clamp(0, 1))
        return (depth * 12).clamp(0, 1), sometimes(0.5, torch.ones_like(rim), rim)

    def _block(self, x: Tensor, half: Tensor, stand: Stand) -> tuple[Tensor, Tensor]:
        """Cover and shade [B,1,128,128] of a block whose front is darker than its top."""
        b = len(x)
        top = stand.base - stand.size * uniform(b, 0.0, 0.15)
        foot = stand.base + stand.size * uniform(b, 0.06, 0.45)
        cover = edge(half - x.abs()) * edge(self.y - top) * edge(foot - self.y)
        return cover, 1 - uniform(b, 0.0, 0.6) * edge(self.y - stand.base - 0.02)

    def _beside(self, stand: Stand, largest: float) -> Stand:
        """Farther out, often cut by the frame."""
        b = len(stand.x)
        size = stand.size * uniform(b, 0.2, largest)
        away = stand.size * 0.5 + size * uniform(b, 0.2, 1.0)
        base = stand.base + stand.size * uniform(b, -0.6, 0.15)
        return Stand(stand.x + signs(b) * away, base, size)

    def _before(self, stand: Stand) -> Stand:
        b = len(stand.x)
        x = stand.x + stand.size * uniform(b, -0.5, 0.5)
        base = stand.base + stand.size * uniform(b, 0.02, 0.25)
        return Stand(x, base, stand.size * uniform(b, 0.25, 0.5))

    def _shadow(self, stand: Stand) -> Tensor:
        b = len(stand.x)
        dx = (self.x - stand.x - stand.size * uniform(b, -0.2, 0.2)) / (0.45 * stand.size)
        dy = (self.y - stand.base + 0.015) / (0.08 * stand.size)
        return uniform(b, 0.0, 0.7) * torch.exp(-(dx**2 + dy**2))

    def _lit(self, picture: Tensor) -> Tensor:
        """The picture in some light, through some lens."""
        b = len(picture)
        turn = uniform(b, 0, 2 * torch.pi)
        x, y = self.x - 0.5, self.y - 0.5
        light = 1 + uniform(b, 0, 1.2) * (x * turn.cos() + y * turn.sin())
        light = light * (1 - uniform(b, 0, 1.2) * (x**2 + y**2))
        light = light * sometimes(0.3, uniform(b, 0.7, 1.2), uniform(b, 0.3, 0.7))
        picture = (picture * light * uniform(b, 0.85, 1.15, 3)).clamp(0, 1) ** uniform(b, 0.7, 1.4)
        picture = sometimes(0.3, picture, blurred(picture, 3))
        return (picture + torch.randn_like(picture) * uniform(b, 0, 0.04)).clamp(0, 1)


def pasted(
    picture: Tensor, cut_out: Tensor, stand: Stand, hidden: float = 0.2
) -> tuple[Tensor, Tensor]:
    """Pictures with the cut-outs in them, and the cut-outs' alpha there; a share `hidden` is hard to see."""
    b = len(picture)
    angle = uniform(b, -0.3, 0.3)
    cos, sin = angle.cos() / stand.size, angle.sin() / stand.size
    across = signs(b) / uniform(b, 0.8, 1.25)
    turned = torch.cat([across * cos, across * sin, -sin, cos], 1).view(b, 2, 2)
    middle = torch.cat([stand.x, stand.base - stand.size / 2], 1).view(b, 2, 1) * 2 - 1
    theta = torch.cat([turned, -turned @ middle], 2)
    grid = F.affine_grid(theta, [b, 4, SIZE, SIZE], align_corners=False)
    alpha = cut_out[:, 3:]
    ready = F.grid_sample(torch.cat([cut_out[:, :3] * alpha, alpha], 1), grid, align_corners=False)
    alpha = ready[:, 3:]
    colour = ready[:, :3] / alpha.clamp(min=1e-3) * uniform(b, 0.6, 1.3)
    gap = mean_colour(picture, alpha) - mean_colour(colour, alpha)
    colour = sometimes(hidden, colour, colour + uniform(b, 0.2, 0.85) * gap)
    return picture * (1 - alpha) + colour.clamp(0, 1) * alpha, alpha


def mean_colour(colour: Tensor, alpha: Tensor) -> Tensor:
    """[B,3,1,1] of what alpha [B,1,h,w] shows."""
    mass = alpha.sum((2, 3), keepdim=True).clamp(min=1)
    return (colour * alpha).sum((2, 3), keepdim=True) / mass


def uniform(b: int, low: float, high: float, channels: int = 1) -> Tensor:
    """[B,channels,1,1] numbers."""
    return torch.rand(b, channels, 1, 1) * (high - low) + low


def signs(b: int) -> Tensor:
    """[B,1,1,1] of -1 and 1."""
    return torch.randint(2, (b, 1, 1, 1)) * 2.0 - 1


def sometimes(share: float, without: Tensor, with_: Tensor) -> Tensor:
    """Row by row one or the other: `with_` for a share of the rows."""
    return torch.where(torch.rand(len(without), 1, 1, 1) < share, with_, without)


def edge(depth: Tensor) -> Tensor:
    """0 outside, 1 inside, from depths in sides of the picture."""
    return (depth * SIZE / 2 + 0.5).clamp(0, 1)


def blurred(picture: Tensor, width: int) -> Tensor:
    for _ in range(2):
        room = [width // 2] * 4
        picture = F.avg_pool2d(F.pad(picture, room, mode="replicate"), width, stride=1)
    return picture
