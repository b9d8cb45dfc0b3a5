import subprocess
import sys
from pathlib import Path

import pytest
import torch

from course_lib import device

MIB = 2**20


def fake_cuda(monkeypatch, capability):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda d=None: capability)


def test_picks_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.pick_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.pick_device() == torch.device("mps")
    fake_cuda(monkeypatch, (8, 0))
    assert device.pick_device() == torch.device("cuda")


def test_bfloat16_only_where_the_hardware_has_it(monkeypatch):
    assert device.pick_dtype("cpu") == torch.float32
    assert device.pick_dtype("mps") == torch.float32
    fake_cuda(monkeypatch, (8, 0))
    assert device.pick_dtype() == torch.bfloat16
    fake_cuda(monkeypatch, (7, 5))  # a T4, where is_bf16_supported() says True
    assert device.pick_dtype("cuda") == torch.float16


def test_report_is_one_line():
    line = device.report()
    assert "\n" not in line and "GiB free" in line and f"torch {torch.__version__}" in line


def test_without_torch_the_line_says_so():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from course_lib import device, free_memory\n"
        "free_memory(); print(device.report())\n"
        "try: device.pick_device()\nexcept RuntimeError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.count("torch is not installed") == 2, done.stderr


def use(mib):
    return torch.ones(mib * MIB, dtype=torch.uint8)


@pytest.mark.parametrize("kernel", [True, False], ids=["high-water mark", "sampled"])
def test_peak_memory_sees_what_was_freed_again(monkeypatch, kernel):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("Linux only")
    if not kernel:

        def refuse(self, text):
            raise PermissionError

        monkeypatch.setattr(Path, "write_text", refuse)
    with device.peak_memory("cpu") as peak:
        block = use(200)
        del block
        use(50)
    assert 190 * MIB < peak.bytes < 260 * MIB
    assert ("sampled" in peak.measured) is not kernel
    assert "MiB (peak resident memory" in str(peak)


def test_peak_memory_does_not_count_what_was_there():
    held = use(100)
    with device.peak_memory("cpu") as peak:
        use(10)
    assert peak.bytes < 60 * MIB and len(held)


def test_peak_memory_is_measured_when_the_block_raises():
    with pytest.raises(KeyError), device.peak_memory("cpu") as peak:
        raise KeyError
    assert peak.bytes is not None


def test_where_nothing_can_be_measured(monkeypatch):
    monkeypatch.setattr(device, "_resident", lambda: None)
    monkeypatch.setattr(device, "_status", lambda key: (_ for _ in ()).throw(LookupError(key)))
    with device.peak_memory("cpu") as peak:
        pass
    assert peak.bytes is None and "not measured" in str(peak)


def test_free_memory_gives_pages_back():
    block = [bytes(1000) for _ in range(200_000)]
    before = device._resident()
    del block
    device.free_memory()
    assert device._resident() < before - 100 * MIB
