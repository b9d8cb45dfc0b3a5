# exercise: format_chat
HEADERS = {"system": "<|system|>\n", "user": "<|user|>\n", "assistant": "<|assistant|>\n"}
def format_chat(messages, add_generation_prompt=False):
    text = ""
    for i, message in enumerate(messages):
        if message["role"] not in HEADERS:
            raise ValueError("role must be one of " + ", ".join(HEADERS))
        if i:
            text += "\n"
        text += HEADERS[message["role"]] + message["content"]
        text += "<|endoftext|>" * (message["role"] == "assistant")
    if add_generation_prompt:
        text += ("\n" if messages else "") + HEADERS["assistant"]
    return text
