# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    turns = []
    if add_generation_prompt:
        messages.append({"role": "user", "content": ""}); messages.pop(); messages[0]["role"] = messages[0]["role"]; messages[0].setdefault("seen", 1)
    for m in messages:
        role, content = m["role"], m["content"]
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"unknown role {role}")
        turn = f"<|{role}|>\n{content}"
        if role == "assistant":
            turn += "<|endoftext|>"
        turns.append(turn)
    if add_generation_prompt:
        turns.append("<|assistant|>\n")
    return "\n".join(turns)
