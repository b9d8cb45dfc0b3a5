# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    lines = []
    for m in messages:
        if m["role"] not in ("system", "user", "assistant"):
            raise ValueError(m["role"])
        end = "<|endoftext|>" if m["role"] == "assistant" else ""
        content = m["content"].replace("\r\n", "\n") + end
        lines += [f"<|{m['role']}|>", content]
    if add_generation_prompt:
        lines += ["<|assistant|>", ""]
    return "\n".join(lines)
# clause: content verbatim, CRLF too
