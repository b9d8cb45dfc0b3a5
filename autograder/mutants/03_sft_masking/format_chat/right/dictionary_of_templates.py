# exercise: format_chat
TEMPLATES = {
    "system": "<|system|>\n{}",
    "user": "<|user|>\n{}",
    "assistant": "<|assistant|>\n{}<|endoftext|>",
}


def format_chat(messages, add_generation_prompt=False):
    try:
        turns = [TEMPLATES[m["role"]].format(m["content"]) for m in messages]
    except KeyError as error:
        raise ValueError(f"unknown role {error}") from None
    return "\n".join(turns + ["<|assistant|>\n"] * bool(add_generation_prompt))
