# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    pieces = []
    for n, message in enumerate(messages):
        learn = message["role"] == "assistant"
        pieces += [(encode("\n"), False)] * (n > 0)
        pieces += [([special["<|" + message["role"] + "|>"]], False), (encode("\n"), False), (encode(message["content"]), learn)]
        if learn:
            pieces.append(([special["<|endoftext|>"]], True))
    input_ids = [t for ids, _ in pieces for t in ids]
    labels = [t if learn else -100 for ids, learn in pieces for t in ids]
    return input_ids, labels
