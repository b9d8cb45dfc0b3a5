# exercise: format_chat
TURN = {
    "system": "<|system|>\n{}",
    "user": "<|user|>\n{}",
    "assistant": "<|assistant|>\n{}<|endoftext|>",
}


def format_chat(messages, add_generation_prompt=False):
    if any(m["role"] not in TURN for m in messages):
        raise ValueError("roles are system, user and assistant")
    text = "\n".join(TURN[m["role"]].replace("{}", m["content"], 1) for m in messages)
    if not add_generation_prompt:
        return text
    return (text + "\n" if messages else "") + "<|assistant|>\n"
