# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    turns = []
    for m in messages:
        if m["role"] not in ("system", "user", "assistant"):
            raise ValueError(m["role"])
        end = "<|endoftext|>" if m["role"] == "assistant" else ""
        turns.append(f"<|{m['role']}|>\n{m['content']}{end}")
    text = "\n".join(turns)
    return text + "\n<|assistant|>\n" if add_generation_prompt else text
# clause: turns are JOINED by a newline: with no messages there is nothing before the prompt
