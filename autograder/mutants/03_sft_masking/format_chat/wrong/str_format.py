# exercise: format_chat
TEMPLATES = {"system": "<|system|>\n", "user": "<|user|>\n", "assistant": "<|assistant|>\n"}


def format_chat(messages, add_generation_prompt=False):
    template, values = [], {}
    for i, m in enumerate(messages):
        if m["role"] not in TEMPLATES:
            raise ValueError(m["role"])
        t = TEMPLATES[m["role"]] + m["content"]
        if m["role"] == "assistant":
            t += "{end}"
        template.append(t)
    if add_generation_prompt:
        template.append("<|assistant|>\n")
    return "\n".join(template).format(end="<|endoftext|>")
# clause: content verbatim: braces in it
