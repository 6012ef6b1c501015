"""Which device to compute on, and in which precision."""

import os
import platform
from pathlib import Path

import torch

from lfsd.errors import UsageError


def pick_device(device: str | torch.device = "auto") -> torch.device:
    """The device asked for, or the best there is; this process's own one under `accelerate
    launch`."""
    if str(device) == "auto":
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
            return torch.device("cpu")
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"device {device!r} is not to be had here", "use --device auto") from error
    return picked


def pick_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """The dtype of the forward passes; auto is bf16 where the hardware computes it, else
    float32."""
    known = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision in known:
        return known[precision]
    if precision != "auto":
        raise UsageError(f"precision {precision!r} is unknown", f"use auto or {', '.join(known)}")
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    if device.type == "cpu" and _cpu_computes_bf16():
        return torch.bfloat16
    return torch.float32


def describe(device: torch.device) -> dict[str, str | int]:
    """What a device is called and its memory in bytes; for the CPU also the threads torch uses."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return {"name": facts.name, "memory": int(facts.total_memory)}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    name = platform.processor() or platform.machine()
    return {"name": name, "memory": int(memory), "threads": torch.get_num_threads()}


def _cpu_computes_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
