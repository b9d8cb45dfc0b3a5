# %% [markdown]
# # SFT: mask the loss
#
# A pre-trained model continues texts. **Supervised fine-tuning** (SFT) shows it questions with
# answers, and trains it on the *answers only*. The whole trick is a list of labels with -100 in the
# right places, and there are many ways to get it wrong that no error message reports. You write the
# pieces, look at the mask, compare with a library, and measure what masking does and does not do.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `format_chat` | a conversation becomes one text | 2 |
# | 2 | `build_example` | prompt and response become ids and labels | 4 |
# | 3 | `collate` | rows of different length become a batch | 3 |
# | 4 | `sft_loss` | cross-entropy on the response only | 4 |
# | 5 | `train_step` | accumulate as if it were one batch | 4 |
# | 6 | `mask_conversation` | many turns | 2 |
# | 7 | `prompt_gradient_norms` | where the gradient goes | 1 |
# | | | **together** | **20** |
#
# Time: about two and a half hours. Everything runs on a laptop, without a download. Needed:
# cross-entropy, what a token is.
#
# **How to work.** Replace `raise NotImplementedError()` in an exercise cell, run it, then run the
# check below it. Each exercise has three hints; open them one at a time.

# %% tags=["setup"]
import copy
import math
import random
import statistics

import torch
import torch.nn as nn
import torch.nn.functional as F

from course_lib import check, hint
from course_lib.pictures import LINES, figure, table

# %% [markdown]
# # Part A. From a conversation to numbers

# %% [markdown] about="format_chat"
# **Why.** A language model sees one text. Who speaks must be written into it, always in the same
# way: a model that was trained with one format and asked in another answers badly, and no error
# message says why.
#
# The lecture's format: a header `<|role|>`, a newline, the content; an assistant's turn is closed
# by `<|endoftext|>`, and turns are joined by a newline. To let the model answer, end with the
# header of an assistant's turn: the **generation prompt**.
#
# By hand: user "2 + 3?", assistant "5":
#
# ```
# <|user|>
# 2 + 3?
# <|assistant|>
# 5<|endoftext|>
# ```
#
# > **The lecture says** `<|endoftext|>` in one place and `<|eos|>` in another. The same token is
# > meant, the **eos** (end of sequence); which name it has is up to the tokenizer. Always check
# > that each of your markers is **one** id in *your* tokenizer. Qwen's chat format has other
# > markers: `<|im_start|>` and `<|im_end|>`.


# %% exercise="format_chat"
# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    """A conversation as the one text that a model is trained on.

    messages: list of {"role": "system" | "user" | "assistant", "content": str}
    add_generation_prompt: end with the header of an assistant's turn, for the model to go on
    Returns a str: turns joined by a newline, each `<|role|>`, a newline, and the content as it is;
    an assistant's turn ends in `<|endoftext|>`.
    Raises ValueError for another role.
    """
    ### BEGIN SOLUTION
    turns = []
    for message in messages:
        role, content = message["role"], message["content"]
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"role must be system, user or assistant, not {role!r}")
        end = "<|endoftext|>" if role == "assistant" else ""
        turns.append(f"<|{role}|>\n{content}{end}")
    if add_generation_prompt:
        turns.append("<|assistant|>\n")
    return "\n".join(turns)
    ### END SOLUTION


# %% test="format_chat"
check("format_chat", format_chat)
### BEGIN HIDDEN TESTS
hidden("format_chat")
### END HIDDEN TESTS


# %% [markdown] about="build_example"
# **Why.** Here the mask is made. `-100` is the label that `F.cross_entropy` ignores.
#
# | | prompt | response | eos |
# |---|---|---|---|
# | ids | the ids | the ids | its id |
# | labels | -100 … | the ids | its id |
#
# **Mathematics.** With $n$ prompt tokens and $x_t$ the id at position $t$, counted from 0, the
# label of that position is
#
# $$y_t = \begin{cases} -100 & t < n \\ x_t & t \ge n . \end{cases}$$
#
# The eos is part of what is learned: it is how the model learns to stop. A response that already
# ends in it gets no second one. A text that had to be cut has *not* ended, so first append, then
# cut. And an example in which nothing is left to learn is `None`; in a batch it would only cost
# time.
#
# By hand: prompt `[11, 12, 13]`, response `[21, 22]`, eos 9, room for 5:
# ids `[11, 12, 13, 21, 22]`, labels `[-100, -100, -100, 21, 22]`. The eos fell off the end.


# %% exercise="build_example"
# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    """Ids and labels of one training example, the prompt masked.

    prompt_ids, response_ids: lists of int, not modified; eos_id: int; max_len: int >= 1
    Returns {"input_ids": list of int, "labels": list of int} of equal length: prompt, response,
    and an eos unless the response already ends in one; then cut on the right to max_len. Labels
    are -100 on the prompt and the ids themselves elsewhere; they are not shifted.
    None if no label but -100 is left.
    """
    ### BEGIN SOLUTION
    response = list(response_ids)
    if response[-1:] != [eos_id]:
        response.append(eos_id)
    labels = ([-100] * len(prompt_ids) + response)[:max_len]
    if all(label == -100 for label in labels):
        return None
    return {"input_ids": (list(prompt_ids) + response)[:max_len], "labels": labels}
    ### END SOLUTION


# %% test="build_example"
check("build_example", build_example)
### BEGIN HIDDEN TESTS
hidden("build_example")
### END HIDDEN TESTS


# %% [markdown] about="collate"
# **Why.** Rows of a batch must have one length. Three paddings: ids with `pad_id`, labels with
# -100, the **attention mask** with 0. (That one tells the model which tokens are real; it is not
# the mask on the loss, which is in the labels.)
#
# The trap: many models have no padding token, and people set it to the eos. Who then finds the
# padding by *looking for the id* takes the real end of each text for padding, too. If its label is
# masked that way, the model never learns to stop. Lengths cannot lie: pad by them.
#
# **Mathematics.** For row $b$ of length $n_b$, padded on the right: $m_{bt} = 1$ if $t < n_b$,
# else 0.
#
# By hand: rows of 2 and 4 tokens, eos 9, `pad_id` 9. The row `[5, 9]` with labels `[-100, 9]`
# becomes ids `[5, 9, 9, 9]`, labels `[-100, 9, -100, -100]`, mask `[1, 1, 0, 0]`. Two of the
# three nines are padding, and the ids alone do not say which.


# %% exercise="collate"
# exercise: collate
def collate(examples, pad_id):
    """Examples of different length as one batch.

    examples: list of dicts as build_example returns them, at least one and no None, not modified
    pad_id: int, may equal the eos
    Returns {"input_ids", "labels", "attention_mask"}, int64 tensors (B, T) with T the length of the
    longest example, rows in the given order, all padded on the same side: ids with pad_id, labels
    with -100, the mask (1 on real tokens) with 0.
    """
    ### BEGIN SOLUTION
    longest = max(len(example["input_ids"]) for example in examples)
    rows = {"input_ids": [], "labels": [], "attention_mask": []}
    for example in examples:
        n = len(example["input_ids"])
        padding = longest - n
        rows["input_ids"].append([*example["input_ids"], *[pad_id] * padding])
        rows["labels"].append([*example["labels"], *[-100] * padding])
        rows["attention_mask"].append([1] * n + [0] * padding)
    return {name: torch.tensor(values) for name, values in rows.items()}
    ### END SOLUTION


# %% test="collate"
check("collate", collate)
### BEGIN HIDDEN TESTS
hidden("collate")
### END HIDDEN TESTS


# %% [markdown] about="sft_loss"
# **Why.** The loss of SFT is the cross-entropy that you know, restricted and **shifted**: the logits
# at position $t$ are a guess about token $t + 1$. So the first response token is predicted at the
# *last prompt position*.
#
# **Mathematics.** With $S$ the **supervised** tokens, those whose label is not -100, over all rows
# together (a first token does not count: nothing stands before it to predict it):
#
# $$\mathcal{L} = -\frac{1}{|S|} \sum_{t \in S} \log p_\theta(x_t \mid x_{<t}) .$$
#
# By hand: labels `[-100, 7, 4]`. At position 0 the model gives token 7 the probability 1/2, at
# position 1 it gives token 4 the probability 1/4. $\mathcal{L} = (\ln 2 + \ln 4) / 2 = 1.04$. What
# it says at position 2 is not asked.
#
# If $S$ is empty this is 0/0. One `nan` and the weights are gone, so it must be 0, and a 0 that
# `backward` accepts.
#
# > **The lecture's** `sft_step` uses `vocab_size` and `optimizer` without having them: it stops with
# > a NameError. `logits.size(-1)` and an argument repair that.


# %% exercise="sft_loss"
# exercise: sft_loss
def sft_loss(logits, labels):
    """Mean cross-entropy of the supervised tokens, each predicted from the position before it.

    logits: (B, T, V) of any float type; labels: (B, T) int64, -100 where nothing is learned
    Returns a scalar float32, in nats; if nothing is supervised a 0 that still has a grad_fn.
    """
    ### BEGIN SOLUTION
    logits, labels = logits[:, :-1].float(), labels[:, 1:]
    total = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=-100, reduction="sum"
    )
    return total / (labels != -100).sum().clamp(min=1)
    ### END SOLUTION


# %% test="sft_loss"
check("sft_loss", sft_loss)
### BEGIN HIDDEN TESTS
hidden("sft_loss")
### END HIDDEN TESTS


# %% [markdown]
# ## See the mask
#
# The lecture's example, a little shortened, token by token. Learned tokens are boxed.

# %% tags=["long"]
from course_lib.experiments import sft_masking as lab
from course_lib.models import load_base

base, tokenizer = load_base("cpu")
messages = [
    {"role": "user", "content": "If 3x + 7 = 22, what is x?"},
    {"role": "assistant", "content": "3x = 22 - 7 = 15, so x = 15 / 3 = 5."},
]


def lecture_example():
    asked = tokenizer.encode(format_chat(messages[:1], add_generation_prompt=True))
    answer = tokenizer.encode(messages[1]["content"])
    return build_example(asked, answer, tokenizer.eos_token_id, 200)


example = lecture_example()
lab.show_mask(tokenizer, example["input_ids"], example["labels"])

# %% [markdown]
# `lab.template_labels` finds the labels for nearly **any** tokenizer with a chat template, by
# comparing the text with and without the assistant's turn. (It refuses a template that rewrites
# earlier turns.) Here with the template of the course's tokenizer and two questions; try it on your
# favourite model. If everything were masked, `lab.show_mask` would stop with an error.

# %% tags=["long"]
longer = [*messages, {"role": "user", "content": "Check it."},
          {"role": "assistant", "content": "3 * 5 + 7 = 22."}]  # fmt: skip
ids, labels = lab.template_labels(tokenizer, longer)
lab.show_mask(tokenizer, ids, labels)

# %% [markdown]
# Other templates, other choices of what is learned, a text that is cut: change one thing at a time.
# Which position is the first that counts in the loss? What is lost first when the text is cut?

# %%
from course_lib import mask_explorer

mask_explorer()

# %% [markdown]
# ## One gradient step, as in the lecture
#
# The lecture walks through one step on this example. Here it is, with numbers: the probabilities of
# the first twelve response tokens before and after *one* step.


# %% tags=["long"]
def probabilities(model):
    row = torch.tensor([example["input_ids"]])
    with torch.inference_mode():
        p = model(input_ids=row).logits[0].softmax(-1)
    return [p[t - 1, label].item() for t, label in enumerate(example["labels"]) if label != -100]


example = lecture_example()
model = copy.deepcopy(base).requires_grad_(True)
batch = {name: torch.tensor([example[name]]) for name in ("input_ids", "labels")}
with torch.inference_mode():
    loss = sft_loss(model(input_ids=batch["input_ids"]).logits, batch["labels"]).item()
before = probabilities(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
optimizer.zero_grad()
sft_loss(model(input_ids=batch["input_ids"]).logits, batch["labels"]).backward()
optimizer.step()
after = probabilities(model)
learned = [tokenizer.decode([i]) for i in example["labels"] if i != -100]
table(
    ["response token", "probability before", "after one step"],
    [
        [repr(token), f"{b:.4f}", f"{a:.4f}"]
        for token, b, a in list(zip(learned, before, after, strict=True))[:12]
    ],
    caption=f"loss before: {loss:.2f}; after: {-statistics.mean(map(math.log, after)):.2f}",
)

# %% [markdown]
# Not every probability has risen: all tokens pull on the same weights, and the step lowers their
# *mean* loss.

# %% [markdown] about="train_step"
# **Why.** The batch that you want does not fit? Send it in pieces, the **microbatches**, and add up
# the gradients. It is said to be "the same as a large batch". It is the same only if each piece
# gets the right weight. The `transformers` library got this wrong until October 2024
# ([Fixing Gradient Accumulation](https://huggingface.co/blog/gradient_accumulation)).
#
# **Mathematics.** The big batch has the loss $\frac{1}{N} \sum_t \ell_t$, the mean of the losses
# $\ell_t$ of all $N$ supervised tokens. The $i$-th of $m$ microbatches, with $n_i$ of them, gives
# the mean $L_i$. So
#
# $$\mathcal{L} = \sum_i \frac{n_i}{N} L_i \qquad\text{and not}\qquad \frac{1}{m} \sum_i L_i .$$
#
# By hand: two microbatches, 9 tokens with mean loss 1 and 1 token with loss 5. The big batch:
# $(9 \cdot 1 + 5) / 10 = 1.4$. The mean of means: 3. There the one lonely token counts as much as
# the nine others together.
#
# At most one microbatch may go through the model at a time, or no memory would be saved.


# %% exercise="train_step"
# exercise: train_step
def train_step(model, optimizer, microbatches):
    """One optimizer step on several microbatches, as if they were one big batch.

    model: answers model(input_ids=, attention_mask=).logits; optimizer: over its parameters
    microbatches: list of what collate returns; some may have no supervised token
    Returns the loss of the big batch, a float: the mean over all supervised tokens, as in sft_loss,
    of all microbatches. If there is none, 0.0, and no step is made.
    At most one microbatch goes through the model at a time. Gradients from before do not count;
    none are left behind.
    """
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    counts = [int((batch["labels"][:, 1:] != -100).sum()) for batch in microbatches]
    total, loss = sum(counts), 0.0
    if total == 0:
        return 0.0
    for batch, count in zip(microbatches, counts, strict=True):
        if count == 0:
            continue
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        share = sft_loss(logits, batch["labels"]) * (count / total)
        share.backward()
        loss += share.item()
    optimizer.step()
    optimizer.zero_grad()
    return loss
    ### END SOLUTION


# %% test="train_step"
check("train_step", train_step)
### BEGIN HIDDEN TESTS
hidden("train_step")
### END HIDDEN TESTS


# %% [markdown] about="mask_conversation"
# **Why.** In a conversation of many turns *every* answer of the assistant is learned, not only the
# last one; the rest is masked.
#
# Build it from pieces, and you know of each piece whether it is learned. Whoever builds the text
# first and then looks for markers in it can be fooled: a user may *write* `<|assistant|>` in a
# question. That is a text, and must stay one; otherwise users put words into the model's mouth.
#
# By hand, the conversation of the first exercise, piece by piece:
#
# | `<\|user\|>` | `↵` | `2 + 3?` | `↵` | `<\|assistant\|>` | `↵` | `5` | `<\|endoftext\|>` |
# |---|---|---|---|---|---|---|---|
# | -100 | -100 | -100 | -100 | -100 | -100 | **learned** | **learned** |


# %% exercise="mask_conversation"
# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    """Ids and labels of a conversation: all of the assistant's turns are learned, nothing else.

    messages: as in format_chat
    encode: function str -> list of int; never gives the ids of markers
    special: dict from "<|system|>", "<|user|>", "<|assistant|>", "<|endoftext|>" to their ids
    Returns (input_ids, labels), lists of int of equal length, in the layout of format_chat. Each
    header, newline, content and marker is encoded by itself. Labels are the ids on every
    assistant's content and its <|endoftext|>, -100 elsewhere.
    """
    ### BEGIN SOLUTION
    input_ids, labels = [], []

    def add(piece, learned):
        input_ids.extend(piece)
        labels.extend(piece if learned else [-100] * len(piece))

    for number, message in enumerate(messages):
        answers = message["role"] == "assistant"
        if number:
            add(encode("\n"), False)
        add([special[f"<|{message['role']}|>"]], False)
        add(encode("\n"), False)
        add(encode(message["content"]), answers)
        if answers:
            add([special["<|endoftext|>"]], True)
    return input_ids, labels
    ### END SOLUTION


# %% test="mask_conversation"
check("mask_conversation", mask_conversation)
### BEGIN HIDDEN TESTS
hidden("mask_conversation")
### END HIDDEN TESTS


# %% [markdown] about="prompt_gradient_norms"
# **Why.**
#
# > **The lecture says:** "the gradient only flows from the response". That is easily read as "no
# > gradient reaches the prompt". Let us see.
#
# The loss *sits* on the response. Its gradient flows back through attention into **every position
# that the response has looked at**. Measure it: the derivative of the loss with respect to the
# vector at each position, and its length.
#
# **Mathematics.** With $e_t$ the embedding that enters the model at position $t$:
#
# $$g_t = \left\| \frac{\partial \mathcal{L}}{\partial e_t} \right\| .$$


# %% exercise="prompt_gradient_norms"
# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    """How strongly each input position moves the loss.

    model: a transformers causal LM, perhaps frozen; its parameters stay as they are, .grad and
        requires_grad too
    input_ids, labels: (1, T) int64
    Returns (T,) float: the Euclidean norm of the derivative of sft_loss by each position's
    embedding.
    """
    ### BEGIN SOLUTION
    embedded = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
    loss = sft_loss(model(inputs_embeds=embedded).logits, labels)
    (gradient,) = torch.autograd.grad(loss, embedded)
    return gradient[0].norm(dim=-1)
    ### END SOLUTION


# %% test="prompt_gradient_norms"
check("prompt_gradient_norms", prompt_gradient_norms)
### BEGIN HIDDEN TESTS
hidden("prompt_gradient_norms")
### END HIDDEN TESTS


# %% tags=["long"]
example = lecture_example()
row = torch.tensor([example["input_ids"]])
norms = prompt_gradient_norms(base, row, torch.tensor([example["labels"]])).tolist()
fig, axis = figure(width=9.0, height=2.8)
starts = example["labels"].index(next(i for i in example["labels"] if i != -100))
hatches = ["" if i < starts else "//" for i in range(len(norms))]
axis.bar(range(len(norms)), norms, color="#9ecae1", edgecolor="black", hatch=hatches)
names = [tokenizer.decode([i]).replace("\n", "↵") for i in example["input_ids"]]
axis.set_xticks(range(len(norms)), names, rotation=90, fontsize=7)
_ = axis.set(ylabel="gradient norm", title="plain: prompt (masked); hatched: response (learned)")

# %% [markdown]
# The prompt gets its share of the gradient, the last token none: nothing is predicted from it.
# Masking decides what is *judged*, not what is *used*.
#
# # Part B. Is it what the library does?
#
# TRL is the library that the lecture's script trains with. Its trainer gets the same rows: its
# labels beside yours, its loss beside yours.

# %% tags=["long"]
import tempfile

import datasets
import trl

from course_lib.quiet import quiet

pairs = lab.clean_pairs(8, seed=1)
tools = lab.Tools(build_example, collate, train_step)
rows = lab.encode_rows(tokenizer, tools, pairs)
with quiet():
    theirs = trl.SFTTrainer(
        model=copy.deepcopy(base),
        args=trl.SFTConfig(
            output_dir=tempfile.mkdtemp(), report_to="none", bf16=False, use_cpu=True,
            per_device_train_batch_size=8, gradient_checkpointing=False,
        ),
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": p, "completion": c} for p, c in pairs]
        ),
        processing_class=tokenizer,
    )  # fmt: skip
    their_batch = next(iter(theirs.get_train_dataloader()))
    with torch.no_grad():
        their_loss = theirs.compute_loss(theirs.model.eval(), dict(their_batch)).item()


def as_set(batch):
    """Rows without padding, whatever their order."""
    return {
        (tuple(i[m.bool()].tolist()), tuple(y[m.bool()].tolist()))
        for i, y, m in zip(
            batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
        )
    }


mine = collate(rows, tokenizer.pad_token_id)
with torch.inference_mode():
    logits = base(input_ids=mine["input_ids"], attention_mask=mine["attention_mask"]).logits
if "attention_mask" not in their_batch:
    their_batch["attention_mask"] = (their_batch["input_ids"] != tokenizer.pad_token_id).long()
same = as_set(mine) == as_set(their_batch)
my_loss = sft_loss(logits, mine["labels"]).item()
print("labels, yours and TRL's:", "the same on all rows" if same else "DIFFERENT")
print(f"loss: yours {my_loss:.5f}, TRL's {their_loss:.5f}")

# %% [markdown]
# # Part C. What masking, data and prompts do
#
# The same base, the same number of updates, three seeds (each with its own training problems and
# order), 60 test problems that no training has seen. *Right*: the answer ends in `####` and the
# right number, and the model stops there. *Format*: the same with any number.
#
# ## Masked against unmasked, clean against sloppy
#
# > **The lecture says:** "We don't want the model to learn to generate questions", and: "1,000
# > expert-written examples often beats 100,000 sloppy ones."
#
# Both can be tried. *Unmasked* learns questions and answers alike. *Sloppy* examples are ten times as
# many; four in ten have a wrong result, three in ten another ending.

# %% tags=["long"]
from course_lib.experiments.seeds import spread
from course_lib.problems import make_problems

test = make_problems(60, "test", seed=21)
STEPS, SEEDS = 30, (0, 1, 2)
arms = {
    "200 clean, masked": (lambda seed: lab.clean_pairs(200, seed), True),
    "200 clean, unmasked": (lambda seed: lab.clean_pairs(200, seed), False),
    "2,000 sloppy, masked": (lambda seed: lab.sloppy_pairs(2000, seed), True),
}
scores, tuned = {"before": [lab.judge(base, tokenizer, test)]}, {}
for name, (pairs_of, masked) in arms.items():
    rows = [lab.encode_rows(tokenizer, tools, pairs_of(seed), masked) for seed in SEEDS]
    tuned[name] = [
        lab.tune(base, tokenizer, tools, some, STEPS, seed)
        for some, seed in zip(rows, SEEDS, strict=True)
    ]
    scores[name] = [lab.judge(model, tokenizer, test) for model in tuned[name]]
table(
    ["", "right", "format"],
    [
        [name, *(spread(share, high=1) for share in zip(*found, strict=True))]
        for name, found in scores.items()
    ],
    caption=f"{STEPS} updates; mean of three seeds (its 95% t-interval), {len(test)} problems",
)

# %% [markdown]
# How to read it:
#
# - **Masked or not**: look whether the intervals overlap. In our run they did. The questions are in
#   the style of the base's own training, so learning them probably does little harm and little
#   good. OpenAI's own code for GSM8K trains on the question as well by default
#   (`loss_on_prefix=True`). Where prompts are long or bad it may be otherwise; we did not try.
# - **Sloppy** data teaches sloppiness: the model writes what it was shown, wrong results and other
#   endings included. That there were more of them did not help in as many updates: 30 updates of
#   16 examples see at most 480 of the 2,000.
# - What this does **not** show: that a mask never matters, or that clean always beats many. One
#   small model, one kind of problem, one length of training.
#
# ## Prompting, few-shot, SFT
#
# > **The lecture says:** fine-tuning "works every time without prompting". A rate says it better.
#
# In brackets again the 95% interval, over three seeds or three choices of examples. A number
# without one comes from a single run, or from three that agree.

# %% tags=["long"]
instruction = " Solve it in steps. End with #### and the number."
asked = [p["question"] + instruction + "\n" for p in test]
shots = make_problems(9, "train", seed=4)
rows = [
    ["the question alone", [scores["before"][0]]],
    ["with an instruction", [lab.judge(base, tokenizer, test, asked)]],
    ["1 example before it",
     [lab.judge(base, tokenizer, test, lab.few_shot(test, shots[i : i + 1])) for i in range(3)]],
    ["3 examples before it",
     [lab.judge(base, tokenizer, test, lab.few_shot(test, shots[3 * i : 3 * i + 3]))
      for i in range(3)]],
]  # fmt: skip
arm = "200 clean, masked"
if arm in scores:
    rows += [
        ["SFT, the question alone", scores[arm]],
        ["SFT, with an instruction it never saw",
         [lab.judge(model, tokenizer, test, asked) for model in tuned[arm]]],
    ]  # fmt: skip
else:
    print("No lines of SFT yet: they need the training above, and that needs your functions.")
table(
    ["", "right", "format"],
    [
        [name, *(spread(share, high=1) for share in zip(*found, strict=True))]
        for name, found in rows
    ],
)

# %% [markdown]
# What we found: this base was never taught to follow instructions. Told to write `####`, it often
# does, and the numbers are nonsense. **One** solved example before the question does nearly as much
# as fine-tuning, and costs its tokens in every single call; three of them confuse this small model.
# And look at the last line: the *fine-tuned* model, asked with a sentence that was not in its
# training prompts, keeps the form and loses the arithmetic. Ask as you have trained.
# A large chat model is another matter: there a good prompt may be all that you need, and it is the
# first thing to try.

# %% [markdown]
# # What to take along
#
# - **The mask is a list of labels.** -100 on what is given, the ids on what is to be written, eos
#   included. Look at it before every training.
# - **Labels are shifted once**, in the loss. The first response token is predicted at the last
#   prompt position.
# - **Padding is known from lengths**, never from ids.
# - **The loss sits on the response, the gradient flows through the prompt.**
# - **Accumulated gradients need weights**: count supervised tokens, not microbatches.
# - **Format is learned fast, from clean data**; whether masking changed anything is a measurement.
