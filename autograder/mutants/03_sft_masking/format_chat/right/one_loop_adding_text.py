# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    text = ""
    for i, m in enumerate(messages):
        if m["role"] not in {"system", "user", "assistant"}:
            raise ValueError("unknown role: " + str(m["role"]))
        if i > 0:
            text += "\n"
        text += "<|" + m["role"] + "|>\n" + m["content"]
        if m["role"] == "assistant":
            text += "<|endoftext|>"
    if add_generation_prompt:
        text += ("\n" if messages else "") + "<|assistant|>\n"
    return text
