"""Superpixels (SLIC) and the graph over them, in numpy."""

from dataclasses import dataclass

import numpy as np

from lfsd.lab import F32, Ints


@dataclass(frozen=True)
class Regions:
    """Superpixels of one picture.

    labels: [h, w] in 0..n-1. lab: [n, 3] mean CIE Lab. spot: [n, 2] mean (y, x) in 0..1.
    area: [n] share of the picture. border: [n] weighted share of the picture's frame it touches.
    edges: [e, 2] neighbouring pairs, each once.
    """

    labels: Ints
    lab: F32
    spot: F32
    area: F32
    border: F32
    edges: Ints


def slic(lab: F32, count: int = 240, compactness: float = 14.0, rounds: int = 5) -> Ints:
    """Cluster pixels by colour and place on a grid of about `count` seeds (Achanta et al. 2012).

    lab: [h, w, 3]. Returns labels [h, w], numbered without gaps. Regions may be in several pieces:
    nothing here needs them connected.
    """
    height, width = lab.shape[:2]
    step = max(2.0, (height * width / count) ** 0.5)
    rows, cols = max(1, round(height / step)), max(1, round(width / step))
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    scale = compactness / step
    pixels = np.concatenate([lab, yy[..., None] * scale, xx[..., None] * scale], -1).reshape(-1, 5)
    home = (yy * rows // height).astype(np.int64) * cols + (xx * cols // width).astype(np.int64)
    home = home.ravel()
    labels = home
    candidates = _neighbourhood(home, rows, cols)
    for _ in range(rounds):
        centres = _means(pixels, labels, rows * cols)
        best = np.full(len(pixels), np.inf, np.float32)
        for candidate in candidates:
            gap = pixels - centres[candidate]
            distance = np.einsum("ij,ij->i", gap, gap)
            closer = distance < best
            best = np.where(closer, distance, best)
            labels = np.where(closer, candidate, labels)
    return np.unique(labels, return_inverse=True)[1].reshape(height, width)


def _neighbourhood(home: Ints, rows: int, cols: int) -> list[Ints]:
    """For every pixel the nine grid seeds around its own."""
    row, col = home // cols, home % cols
    return [
        np.clip(row + dy, 0, rows - 1) * cols + np.clip(col + dx, 0, cols - 1)
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]


def _means(values: F32, labels: Ints, count: int) -> F32:
    size = np.maximum(np.bincount(labels, minlength=count), 1)
    sums = [np.bincount(labels, values[:, i], minlength=count) for i in range(values.shape[1])]
    return (np.stack(sums, -1) / size[:, None]).astype(np.float32)


def regions(lab: F32, count: int = 240, bottom_weight: float = 0.5) -> Regions:
    """Superpixels with what saliency needs to know of them.

    bottom_weight: a subject stands on the lower edge far oftener than it touches the others.
    """
    labels = slic(lab, count)
    height, width = labels.shape
    n = int(labels.max()) + 1
    flat = labels.ravel()
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    place = np.stack([(yy.ravel() + 0.5) / height, (xx.ravel() + 0.5) / width], -1)
    frame = np.zeros((height, width), np.float32)
    frame[0], frame[:, 0], frame[:, -1] = 1.0, 1.0, 1.0
    frame[-1] = bottom_weight
    border = np.bincount(flat, frame.ravel(), minlength=n) / (2 * (height + width))
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()], -1),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()], -1),
        ]
    )
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    codes = np.unique(pairs[:, 0] * n + pairs[:, 1])
    return Regions(
        labels=labels,
        lab=_means(lab.reshape(-1, 3), flat, n),
        spot=_means(place, flat, n),
        area=(np.bincount(flat, minlength=n) / len(flat)).astype(np.float32),
        border=border.astype(np.float32),
        edges=np.stack([codes // n, codes % n], -1),
    )


def geodesic(r: Regions, link_frame: bool = True) -> F32:
    """[n, n] length of the least colourful path between regions (Lab units).

    link_frame joins all regions on the frame, so that background cut apart by the subject is one.
    """
    n = len(r.lab)
    length = np.full((n, n), np.inf, np.float32)
    gap = np.linalg.norm(r.lab[:, None] - r.lab[None], axis=-1)
    a, b = r.edges[:, 0], r.edges[:, 1]
    # Small differences along a smooth gradient must not add up to a border (Zhu et al. 2014).
    small = 3.0
    length[a, b] = length[b, a] = np.maximum(gap[a, b] - small, 0)
    if link_frame:
        edge = np.flatnonzero(r.border > 0)
        length[np.ix_(edge, edge)] = np.maximum(gap[np.ix_(edge, edge)] - small, 0)
    np.fill_diagonal(length, 0)
    for k in range(n):
        np.minimum(length, length[:, k : k + 1] + length[k : k + 1], out=length)
    return length
