"""The set-up cell of every notebook: what runtime this is, what will run, what is missing.

On Colab the course installs itself beside what is there and replaces none of it: Colab's own
torch, transformers and peft are new enough, and exchanging them under a running kernel breaks it.

trl is the exception. Colab does not have it, and every trl since 1.0 asks for a newer `datasets`
(and through it `pyarrow`) than Colab's, which other packages there are built against. What this
course calls of trl works with Colab's `datasets`, so trl is installed without its dependencies.
"""

import importlib
import os
import subprocess
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

TRL = "trl==1.16.0"  # the version that is tested with Colab's transformers, peft and datasets
# What a notebook needs beyond the requirements of the course itself.
EXTRA = {"03_sft_masking": TRL, "04_gsm8k_lora": TRL, "05_star": TRL}
DRIVE = Path("/content/drive")
REQUIRED = ("torch", "transformers", "peft", "safetensors", "ipywidgets", "anywidget", "matplotlib")


def on_colab() -> bool:
    """Whether this kernel runs on Google Colab."""
    return "google.colab" in sys.modules


def start(notebook_id: str) -> None:
    """Print what runtime this is and what will run here; on Colab, install what is missing."""
    extra = EXTRA.get(notebook_id)
    wanted = [*REQUIRED, *([extra] if extra else [])]
    missing = [package for package in wanted if not _is_there(package.partition("==")[0])]
    if missing and on_colab():
        print(f"installing {', '.join(missing)} …")
        # --no-deps: see above. What they need in turn is on Colab already.
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *missing]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "pip failed")
        importlib.invalidate_caches()
        missing = [package for package in missing if not _is_there(package.partition("==")[0])]
    if missing:
        quoted = " ".join(f'"{package}"' for package in missing)
        print(f"Missing here: {', '.join(missing)}. Install: pip install {quoted}")
        return

    from course_lib.device import report
    from course_lib.models import choose_profile

    # One library calls what another calls old: nothing that a student could do about.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    print(report())
    choose_profile()
    if on_colab():
        print(
            "Colab forgets your files when the runtime ends. To keep results and adapters:\n"
            "    from course_lib.colab import keep_on_drive; keep_on_drive()"
        )


def keep_on_drive(folder: str = "finetuning-course") -> Path:
    """Mount Google Drive and work in MyDrive/`folder` from now on; returns that folder.

    Files that the notebooks write (results, adapters, checkpoints) then outlive the runtime: after
    a lost one, run this again and go on. RuntimeError anywhere but on Colab.
    """
    if not on_colab():
        raise RuntimeError(
            "this is not Colab: your files stay where they are, nothing is to be kept"
        )
    from google.colab import drive

    drive.mount(str(DRIVE))
    place = DRIVE / "MyDrive" / folder
    place.mkdir(parents=True, exist_ok=True)
    os.chdir(place)
    print(f"working in {place}")
    return place


def _is_there(package):
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True
