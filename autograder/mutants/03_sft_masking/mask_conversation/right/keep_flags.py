# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    pieces = []
    for m in messages:
        if pieces:
            pieces.append((encode("\n"), 0))
        pieces.append(([special["<|" + m["role"] + "|>"]], 0))
        pieces.append((encode("\n"), 0))
        spoken = 1 if m["role"] == "assistant" else 0
        pieces.append((encode(m["content"]), spoken))
        if spoken:
            pieces.append(([special["<|endoftext|>"]], 1))
    ids = [i for piece, _ in pieces for i in piece]
    labels = [i if keep else -100 for piece, keep in pieces for i in piece]
    return ids, labels
