"""Photos taken in the dark, brightened: the subject will be wanted in daylight too."""

import numpy as np
from PIL import Image

BRIGHT = 0.85  # where the lightest hundredth of a well exposed photo lies, of 1
DARK_MIDDLE, DARK_LIGHTEST = 0.25, 0.65  # its median and lightest hundredth, if underexposed
MOST = 2.0  # more would show the camera's noise


def lift(image: Image.Image) -> float:
    """The factor, 1 to MOST, by which an RGB photo should be brightened.

    A dark subject in good light stays dark, because something beside it is light.
    """
    middle, lightest = np.percentile(np.asarray(image.convert("L")), (50, 99)) / 255
    if middle >= DARK_MIDDLE or lightest >= DARK_LIGHTEST:
        return 1.0
    return min(MOST, BRIGHT / max(float(lightest), 1e-3))


def brightened(image: Image.Image, factor: float) -> Image.Image:
    """Every channel times `factor`, clipped at white."""
    return image.point(lambda value: min(255, round(value * factor)))
