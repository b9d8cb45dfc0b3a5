# exercise: format_chat
def format_chat(messages, add_generation_prompt=False):
    parts = []
    for m in messages:
        match m["role"]:
            case "assistant":
                parts.append("<|assistant|>\n" + m["content"] + "<|endoftext|>")
            case "user" | "system" as role:
                parts.append("<|" + role + "|>\n" + m["content"])
            case other:
                raise ValueError("unknown role: " + str(other))
    return "\n".join(parts + ["<|assistant|>\n"] * bool(add_generation_prompt))
