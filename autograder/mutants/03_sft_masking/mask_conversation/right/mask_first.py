# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    ids, mask = [], []
    for i, message in enumerate(messages):
        role = message["role"]
        pieces = [] if i == 0 else [(0, encode("\n"))]
        pieces += [(0, [special["<|%s|>" % role]]), (0, encode("\n"))]
        pieces += [(int(role == "assistant"), encode(message["content"]))]
        if role == "assistant":
            pieces += [(1, [special["<|endoftext|>"]])]
        for flag, piece in pieces:
            ids.extend(piece)
            mask.extend([flag] * len(piece))
    return (ids, [t if m else -100 for t, m in zip(ids, mask)])
