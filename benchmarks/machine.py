"""What a result was measured on, and where it is written."""

import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def machine(*packages: str) -> dict:
    """Processor, cores, memory in GiB, Python, and the versions of `packages`."""
    model = "unknown"
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "python": platform.python_version(),
        "load_at_start": round(os.getloadavg()[0], 1),
        **{package: version(package) for package in packages},
    }


def write_result(name: str, headline: dict, **details) -> Path:
    """Write benchmarks/results/<name>.json; `headline` holds the figures that docs quote."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=RESULTS.parent
    )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    result = {"headline": headline, "commit": commit.stdout.strip(), **details}
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path
