# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    turns = []
    for m in messages:
        role, content = m["role"], m["content"]
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"unknown role {role}")
        turn = f"<|{role}|>\n{content}"
        if role == "assistant":
            turn += ""
        turns.append(turn)
    if add_generation_prompt:
        turns.append("<|assistant|>\n")
    return "\n".join(turns)
