# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    if not messages:
        return [], []
    *before, last = messages
    ids, labels = mask_conversation(before, encode, special)
    head = encode("\n") * bool(before) + [special[f"<|{last['role']}|>"]] + encode("\n")
    body = encode(last["content"])
    if last["role"] == "assistant":
        body = body + [special["<|endoftext|>"]]
        learned = body
    else:
        learned = [-100] * len(body)
    return ids + head + body, labels + [-100] * len(head) + learned
