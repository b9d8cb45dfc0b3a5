"""Which device and precision to use, and how much memory a piece of code takes."""

import contextlib
import ctypes
import gc
import sys
import threading
from dataclasses import dataclass
from pathlib import Path


def _torch():
    try:
        import torch
    except ImportError:
        raise RuntimeError(
            "torch is not installed in this Python: run `pip install torch`, restart the kernel"
        ) from None
    return torch


def pick_device():
    """The fastest device here, a torch.device: cuda, else Apple's mps, else cpu."""
    torch = _torch()
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def pick_dtype(device=None):
    """The dtype to hold a base model in on `device` (the picked one by default).

    bfloat16 where the hardware computes in it (NVIDIA compute capability 8.0 and up: A100, L4,
    RTX 30…), float16 on older NVIDIA cards (a T4 only emulates bfloat16, slowly), else float32.
    """
    torch = _torch()
    device = torch.device(device) if device is not None else pick_device()
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16


def report() -> str:
    """One line on what will compute here: device, memory, dtype, torch's version."""
    try:
        torch, device = _torch(), pick_device()
    except RuntimeError as error:
        return str(error)
    dtype = str(pick_dtype(device)).removeprefix("torch.")
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        memory = f"{_gib(free)} of {_gib(total)} free"
    else:
        name = f"{device.type}, {torch.get_num_threads()} threads"
        available = available_memory()
        memory = "free memory unknown" if available is None else f"{_gib(available)} free"
    return f"{name} · {memory} · {dtype} · torch {torch.__version__}"


def free_memory() -> None:
    """Give back what is no longer referenced: Python's garbage, torch's and malloc's caches.

    Delete your own references (`del model`) first.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # musl has no malloc_trim
            ctypes.CDLL("libc.so.6").malloc_trim(0)


@contextlib.contextmanager
def one_thread():
    """Compute with one thread inside the block (or the function that this decorates).

    The matrices of the embedded model are too small to share among threads: on a busy machine the
    threads wait for each other, and a step takes several times as long.
    """
    torch = _torch()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fitting_threads(model):
    """A context: one thread for a model of fewer than ten million parameters, else as it is."""
    small = sum(p.numel() for p in model.parameters()) < 10e6
    return one_thread() if small else contextlib.nullcontext()


def available_memory() -> int | None:
    """Bytes of RAM that could be used now, container limits aside; None if unknown."""
    try:
        import psutil

        return psutil.virtual_memory().available
    except ImportError:
        pass
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


@dataclass
class Peak:
    """What `peak_memory` measured; filled in when the `with` block ends."""

    bytes: int | None = None  # highest use in the block above the use at its start
    start: int | None = None  # bytes in use at its start
    measured: str = ""  # what the number is, in words

    def __str__(self):
        if self.bytes is None:
            return self.measured or "still measuring"
        return f"{self.bytes / 2**20:,.1f} MiB ({self.measured})"


@contextlib.contextmanager
def peak_memory(device=None):
    """Measure the highest memory use inside the block, above what was in use before it.

        with peak_memory() as peak:
            train()
        print(peak)            # 812.4 MiB (peak resident memory, from the kernel)

    On CUDA: torch's allocated tensors, exact. On Linux without CUDA: resident memory of the
    process, from the kernel's own high-water mark, exact; blocks do not nest. Elsewhere: a
    thread looks every 2 ms and may miss a short peak. Memory that malloc still holds from earlier
    work can be used again without being seen, so it is handed back first.
    """
    peak = Peak()
    torch = sys.modules.get("torch")
    free_memory()
    kind = torch.device(device).type if device is not None else None
    if torch is not None and torch.cuda.is_available() and kind in (None, "cuda"):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        peak.start = torch.cuda.memory_allocated(device)
        try:
            yield peak
        finally:
            torch.cuda.synchronize(device)
            peak.bytes = torch.cuda.max_memory_allocated(device) - peak.start
            peak.measured = "peak of torch's allocated CUDA memory"
        return
    highest, peak.measured = _watch_resident()
    peak.start = _resident()
    try:
        yield peak
    finally:
        top = highest()
        if top is not None and peak.start is not None:
            peak.bytes = max(0, top - peak.start)


def _watch_resident():
    """(function that ends the watch and gives the highest resident bytes, what it is)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM to the present use
        _status("VmHWM")
        return lambda: _status("VmHWM"), "peak resident memory, from the kernel"
    except (OSError, LookupError):
        pass
    if _resident() is None:
        return lambda: None, "not measured: this system offers no way to"
    top, done = [_resident()], threading.Event()

    def sample():
        while not done.wait(0.002):
            top[0] = max(top[0], _resident())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()

    def stop():
        done.set()
        thread.join()
        return max(top[0], _resident())

    return stop, "peak resident memory, sampled every 2 ms"


def _resident():
    """Resident bytes of this process, None if unknown."""
    with contextlib.suppress(OSError, LookupError):
        return _status("VmRSS")
    try:
        import psutil

        return psutil.Process().memory_info().rss
    except ImportError:
        return None


def _status(key):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)


def _gib(size):
    return f"{size / 2**30:.1f} GiB"
