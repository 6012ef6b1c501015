"""Lifelong few-shot customisation of a text-to-image diffusion model, as a Python API."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfsd.lifelong import LifelongModel
    from lfsd.settings import Settings

__all__ = ["LifelongModel", "Settings"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public classes on first use, so that `import lfsd` stays cheap."""
    if name == "LifelongModel":
        from lfsd.lifelong import LifelongModel

        return LifelongModel
    if name == "Settings":
        from lfsd.settings import Settings

        return Settings
    raise AttributeError(name)
