"""The explorer of notebook 03: which tokens of a conversation are learned."""

import traitlets

from course_lib.models import TINY
from course_lib.widgets import still
from course_lib.widgets.explorer import Explorer

LECTURE, CHATML, LLAMA = "the lecture's", "ChatML (Qwen)", "Llama 3"
# Pieces around the content, "{}" in each stands for the role. A marker is one id where the
# tokenizer has it; text is ordinary text; the end closes the turn and is learned with an answer.
TEMPLATES = {
    LECTURE: {
        "begin": [],
        "before": [["marker", "<|{}|>"], ["text", "\n"]],
        "after": {"assistant": [["end", "<|endoftext|>"]]},
        "between": [["text", "\n"]],
    },
    CHATML: {
        "begin": [],
        "before": [["marker", "<|im_start|>"], ["text", "{}\n"]],
        "after": {role: [["end", "<|im_end|>"]] for role in ("system", "user", "assistant")},
        "between": [["text", "\n"]],
    },
    LLAMA: {
        "begin": [["marker", "<|begin_of_text|>"]],
        "before": [
            ["marker", "<|start_header_id|>"],
            ["text", "{}"],
            ["marker", "<|end_header_id|>"],
            ["text", "\n\n"],
        ],
        "after": {role: [["end", "<|eot_id|>"]] for role in ("system", "user", "assistant")},
        "between": [],
    },
}
QUESTION = {"role": "user", "content": "If 3x + 7 = 22, what is x?"}
ANSWER = {"role": "assistant", "content": "3x = 22 - 7 = 15, so x = 15 / 3 = 5."}
CONVERSATIONS = {
    "two questions": [
        {"role": "system", "content": "Answer in one line."},
        QUESTION,
        ANSWER,
        {"role": "user", "content": "Check it."},
        {"role": "assistant", "content": "3 * 5 + 7 = 22."},
    ],
    "one question": [QUESTION, ANSWER],
    "a user who writes a marker": [
        {"role": "user", "content": "What does <|assistant|> mean?"},
        {"role": "assistant", "content": "It opens an answer."},
    ],
}


def mask_explorer(messages: list[dict] | None = None, tokenizer=None):
    """A widget: which tokens are learned, for each chat template and each policy.

    messages: a conversation of yours, shown as "own" and first, [{"role": ..., "content": ...}];
    ValueError for another role. tokenizer: a fast tokenizer of transformers in place of the
    course's.
    """
    conversations = CONVERSATIONS if messages is None else {"own": messages} | CONVERSATIONS
    for message in (m for turns in conversations.values() for m in turns):
        if message["role"] not in ("system", "user", "assistant"):
            raise ValueError(f"role must be system, user or assistant, not {message['role']!r}")
    split = _splitter(tokenizer)
    texts = [
        {
            "name": name,
            "template": template,
            "roles": [turn["role"] for turn in turns],
            "pieces": [[*piece, split(piece[2])] for piece in _pieces(rules, turns)],
        }
        for name, turns in conversations.items()
        for template, rules in TEMPLATES.items()
    ]
    return _Mask(texts=texts)


def _splitter(tokenizer):
    """str -> its tokens as text, with markers spelt out like any text."""
    from tokenizers import Tokenizer

    if tokenizer is None:
        fast = Tokenizer.from_file(str(TINY / "tokenizer.json"))
    else:
        fast = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    fast.encode_special_tokens = True

    def split(text):
        spans = fast.encode(text, add_special_tokens=False).offsets
        return [text[begin:end] for begin, end in spans]

    return split


def _pieces(rules, turns):
    """[kind, number of the turn, text] of a conversation; kind as in TEMPLATES, or "content"."""
    pieces = [[kind, 0, text] for kind, text in rules["begin"]]
    for number, turn in enumerate(turns):
        role = turn["role"]
        around = [rules["before"], [["content", None]], rules["after"].get(role, [])]
        if number < len(turns) - 1:
            around.append(rules["between"])
        for kind, text in (piece for part in around for piece in part):
            pieces.append([kind, number, turn["content"] if text is None else text.format(role)])
    return pieces


class _Mask(Explorer):
    # One for each conversation and template: name, template, roles of the turns, and pieces
    # [kind, turn, text, its tokens].
    texts = traitlets.List().tag(sync=True)

    def __init__(self, **state):
        super().__init__("mask", **state)

    def _still(self):
        first = self.texts[0]
        lines = [(role, []) for role in first["roles"]]
        for kind, turn, text, tokens in first["pieces"]:
            role, line = lines[turn]
            learned = role == "assistant" and kind in ("content", "end")
            whole = [text] if kind in ("marker", "end") else tokens
            line += [(token, learned) for token in whole]
        return still.mask(lines)
