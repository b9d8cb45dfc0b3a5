# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    turns, last = [], None
    for m in messages:
        role = m["role"]
        if role not in ("system", "user", "assistant") or role == last:
            raise ValueError(f"unexpected {role}")
        last = role
        turns.append(f"<|{role}|>\n{m['content']}" + "<|endoftext|>" * (role == "assistant"))
    if add_generation_prompt:
        turns.append("<|assistant|>\n")
    return "\n".join(turns)
# clause: ValueError for an unknown role only
