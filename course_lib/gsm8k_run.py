"""The run of notebook 04 as a script: the same functions, more steps, one device or many.

    python -m course_lib.gsm8k_run --notebook 04_gsm8k_lora.ipynb --steps 200 --test 100
    accelerate launch --num_processes 4 -m course_lib.gsm8k_run --notebook 04_gsm8k_lora.ipynb ...

What trains, judges and writes is what stands in the notebook's solution cells; this module reads
them, feeds them, and keeps what is done. The same command after an interruption goes on: training
from its last whole checkpoint, evaluation after the last generated text.

Several processes share the batch (DDP), and with course_lib/gsm8k_fsdp.yaml the weights as well:

    accelerate launch --config_file .../course_lib/gsm8k_fsdp.yaml -m course_lib.gsm8k_run ...

They only train together. The first one then reads the base and the saved adapter afresh, and
evaluates: before is the base alone, after is the base with the adapter.
"""

import argparse
import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

from course_lib.answers import Unreadable, find_answers, judged_cells, read_cells
from course_lib.device import fitting_threads
from course_lib.gsm8k import load_gsm8k
from course_lib.models import NAMES, PROFILES, ModelUnavailable, choose_profile, load_base
from course_lib.submit import SubmitError, handed_out

# A whole run that stands in where a student has none: the two files, texts and figures.
PUBLISHED = Path(__file__).parent / "recorded" / "gsm8k_run"
NOTEBOOK = "04_gsm8k_lora"
NEEDED = ("to_prompt_completion", "evaluate", "make_trainer", "gsm8k_run")


class RunError(RuntimeError):
    """The run cannot start or go on; the text is one line that says what to do."""


# ---------------------------------------------------------------------------- the notebook's code


def load_notebook(path) -> dict:
    """The namespace of a notebook's set-up and solution cells, run in order.

    path: the student's .ipynb, or a solution file in percent format (.py).
    Raises RunError if it is missing or if a function that is needed is not written yet.
    """
    path = Path(path)
    try:
        cells = list(_percent_cells(path) if path.suffix == ".py" else _notebook_cells(path))
    except OSError as error:
        raise RunError(f"cannot read the notebook {path}: {error.strerror}") from None
    except Unreadable as error:
        raise RunError(f"{path}: {error}") from None
    except SubmitError as error:
        raise RunError(str(error)) from None
    space = {"__name__": "notebook"}
    for source in cells:
        exec(compile(source, str(path), "exec"), space)
    for name in NEEDED:
        function = space.get(name)
        code = getattr(function, "__code__", None)
        if code is None:
            raise RunError(f"{path} does not define {name}: solve its exercise first")
        if "NotImplementedError" in code.co_names:
            raise RunError(f"{name} is not written yet in {path}: solve its exercise first")
    return space


def _notebook_cells(path):
    """As grading reads it: what an answer needs from another cell, an import say, comes with it."""
    cells, _ = read_cells(path.read_bytes())
    blank, _ = read_cells(json.dumps(handed_out(NOTEBOOK)).encode())
    answers = find_answers(cells, blank).sources
    return [answers.get(name, source) for _, name, source in judged_cells(blank)]


def _percent_cells(path):
    for cell in re.split(r"^(?=# %%)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if re.match(r'# %%.*(exercise=|"setup")', cell):
            yield cell


# ---------------------------------------------------------------------------- training


def train(trainer) -> float:
    """trainer.train(), on from the last whole checkpoint in its output_dir. -> seconds.

    Raises RunError for what a run meets: no memory, no disk, an interruption. Checkpoints stay.
    """
    folder = Path(trainer.args.output_dir)
    start = last_checkpoint(folder)
    if start is not None and trainer.is_world_process_zero():
        print(f"Going on from {start}.", flush=True)
    begun = time.perf_counter()
    with explained(folder), fitting_threads(trainer.model):
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    return time.perf_counter() - begun


def last_checkpoint(folder) -> Path | None:
    """The latest checkpoint that was written to its end, or None.

    A checkpoint that the disk or the runtime cut short has no readable trainer_state.json: the
    trainer writes that file last.
    """
    found = []
    for path in Path(folder).glob("checkpoint-*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            state = json.loads((path / "trainer_state.json").read_text())
            if (path / "adapter_model.safetensors").stat().st_size:
                found.append((state["global_step"], path))
    return max(found)[1] if found else None


@contextlib.contextmanager
def explained(folder):
    """Turn what interrupts a run into a RunError that says what to do and what is kept."""
    try:
        yield
    except (KeyboardInterrupt, MemoryError, OSError, RuntimeError, _safetensors_error()) as error:
        what = _what_happened(error, folder)
        if what is None:
            raise
        kept = last_checkpoint(folder)
        rest = f"{kept} is kept and the same call goes on from it" if kept else "nothing is lost"
        raise RunError(f"{what}; {rest}") from error


def _safetensors_error():
    from safetensors import SafetensorError

    return SafetensorError


def _what_happened(error, folder) -> str | None:
    text = str(error)
    if isinstance(error, KeyboardInterrupt):
        return "stopped by you"
    no_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if no_memory or "can't allocate memory" in text or "out of memory" in text:
        return (
            "out of memory: halve the examples per device and double the accumulation "
            "(the result is the same), or turn gradient_checkpointing on"
        )
    # torch and safetensors report a full disk in their own ways.
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left" in text or "unexpected pos" in text or "failed writing" in text:
        return f"the disk of {folder} is full: make room or name another folder"
    return None


# ---------------------------------------------------------------------------- generating


def greedy(model, tokenizer, max_new_tokens=256):
    """The function that evaluate calls: list of prompts -> list of (text, stopped), greedily."""
    from course_lib.sampling import sample

    def generate(prompts):
        with fitting_threads(model):
            return sample(model, tokenizer, prompts, temperature=0, max_new_tokens=max_new_tokens)

    return generate


def remembering(generate, path, progress=None):
    """`generate`, with every answer kept in the file `path`: after an interruption only what is
    not there yet is generated. progress(number of prompts) is called for each batch."""
    path = Path(path)
    known = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, KeyError):  # a line that was cut short
                row = json.loads(line)
                known[row["prompt"]] = (row["text"], row["stopped"])

    def remembered(prompts):
        key = {p: hashlib.sha256(p.encode()).hexdigest()[:16] for p in prompts}
        new = [p for p in prompts if key[p] not in known]
        answers = generate(new) if new else []
        with path.open("a", encoding="utf-8") as file:
            for prompt, (text, stopped) in zip(new, answers, strict=True):
                known[key[prompt]] = (text, stopped)
                row = {"prompt": key[prompt], "text": text, "stopped": stopped}
                file.write(json.dumps(row) + "\n")
        if progress:
            progress(len(prompts))
        return [known[key[p]] for p in prompts]

    return remembered


# ---------------------------------------------------------------------------- the whole run


def describe(profile, data, source=None, **more) -> dict:
    """The facts that go into gsm8k_results.json: model, data, versions, and what is given.

    source: the folder or hub id that was read in place of the profile's own model, if any.
    """
    import accelerate
    import peft
    import torch
    import transformers
    import trl

    modules = (torch, transformers, peft, trl, accelerate)
    return {
        "model": str(source or NAMES[profile]),
        "profile": profile,
        "data": data.source.split(" from ")[0],
        "data_sha256": data.sha256,
        "versions": {m.__name__: m.__version__ for m in modules},
        **more,
    }


def run(functions: dict, options) -> dict | None:
    """Train and evaluate as `options` (see `main`) say; the results, None but in process 0."""
    from peft import PeftModel

    out = Path(options.out)
    base = functools.partial(load_base, options.profile, options.source)
    data = load_gsm8k(options.profile, verbose=_rank() == 0)
    model, tokenizer = base()
    processes = int(os.environ.get("WORLD_SIZE", 1))
    per_step = options.micro_batch * processes
    if options.batch % per_step:
        raise RunError(
            f"--batch {options.batch} is not a multiple of --micro-batch {options.micro_batch} "
            f"times {processes} processes"
        )
    trainer = functions["make_trainer"](
        model,
        tokenizer,
        data.train[: options.steps * options.batch],  # what is read: longer lists cost only time
        str(out / "checkpoints"),
        max_steps=options.steps,
        per_device_train_batch_size=options.micro_batch,
        gradient_accumulation_steps=options.batch // per_step,
        max_length=options.max_length,
        learning_rate=options.learning_rate,
        gradient_checkpointing=options.checkpointing,
        warmup_steps=options.steps // 20,
        logging_steps=options.log_every,
        save_steps=options.save_every,
        save_total_limit=2,
        seed=options.seed,
        disable_tqdm=not sys.stderr.isatty(),
        use_cpu=model.device.type == "cpu",
    )
    adapter = out / "adapter"
    if not (adapter / "adapter_model.safetensors").is_file():
        seconds = train(trainer)
        with explained(out / "checkpoints"):
            trainer.save_model(str(adapter))
        if trainer.is_world_process_zero():
            log = {"seconds": round(seconds, 1), "log": trainer.state.log_history}
            (out / "training.json").write_text(json.dumps(log, indent=1))
    trainer.accelerator.wait_for_everyone()
    _leave_group()
    if _rank() or not options.test:
        return None
    del trainer, model
    with explained(out / "checkpoints"):
        before, _ = base()
        after = PeftModel.from_pretrained(base()[0], str(adapter)).merge_and_unload().eval()
        phases = [
            remembering(
                greedy(model, tokenizer, options.max_new_tokens),
                out / f"{name}.jsonl",
                _told(name, options.test),
            )
            for name, model in (("before", before), ("after", after))
        ]
        facts = describe(
            options.profile,
            data,
            options.source,
            **{k: getattr(options, k) for k in ("seed", "steps", "batch", "learning_rate")},
            max_length=options.max_length,
            max_new_tokens=options.max_new_tokens,
        )
        return functions["gsm8k_run"](*phases, data.test[: options.test], out, facts)


def _rank() -> int:
    return int(os.environ.get("RANK", 0))


def _leave_group():
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _told(name, total):
    done, begun = [0], time.perf_counter()

    def progress(count):
        done[0] += count
        seconds = time.perf_counter() - begun
        print(f"{name}: {done[0]} of {total} problems, {seconds:.0f} s", flush=True)

    return progress


def main(arguments: list[str] | None = None) -> int:
    """Train and evaluate. Exit status 1 after one line that says what went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.gsm8k_run", description=main.__doc__
    )
    add = functools.partial(parser.add_argument, metavar="N", type=int)
    add("--notebook", metavar="FILE", type=Path, required=True, help="your notebook 04, solved")
    add("--out", metavar="DIR", type=Path, default=Path("gsm8k_run"), help="all files go here")
    add("--profile", metavar="NAME", type=str, choices=PROFILES, help="default: by the device")
    add("--source", metavar="MODEL", type=str, help="a folder or hub id in place of the profile's")
    add("--steps", default=200, help="optimizer steps (default 200)")
    add("--batch", default=16, help="examples in an optimizer step, all processes (default 16)")
    add("--micro-batch", default=4, help="examples at once in one process (default 4)")
    add("--test", default=100, help="test problems to evaluate on; 0: train only (default 100)")
    add("--max-length", default=512, help="tokens of a training example (default 512)")
    add("--max-new-tokens", default=256, help="tokens of an answer (default 256)")
    add("--learning-rate", metavar="X", type=float, default=2e-4, help="default 2e-4")
    add("--save-every", default=25, help="steps between checkpoints (default 25)")
    add("--log-every", default=10, help="steps between lines (default 10)")
    add("--seed", default=0)
    parser.add_argument("--checkpointing", action="store_true", help="less memory, more time")
    options = parser.parse_args(arguments)
    try:
        options.profile = options.profile or choose_profile()
        options.out.mkdir(parents=True, exist_ok=True)
        results = run(load_notebook(options.notebook), options)
    except (RunError, ModelUnavailable, ValueError, FileNotFoundError, PermissionError) as error:
        print(f"gsm8k_run: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"gsm8k_run: a package is missing: pip install {error.name}", file=sys.stderr)
        return 1
    if results:
        for phase in ("before", "after"):
            shares = {
                k: results[phase][k] for k in ("strict", "flexible", "no_answer", "stop_rate")
            }
            print(phase, "  ".join(f"{k} {v:.3f}" for k, v in shares.items()))
        print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
