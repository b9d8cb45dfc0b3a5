# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    ids, learned = [], []
    for i, m in enumerate(messages):
        head = (encode("\n") if i else []) + [special[f"<|{m['role']}|>"]] + encode("\n")
        body = list(encode(m["content"]))
        if m["role"] == "assistant":
            body.append(special["<|endoftext|>"])
        ids += head + body
        learned += [0] * len(head) + [int(m["role"] == "assistant")] * len(body)
    labels = [i * flag or -100 for i, flag in zip(ids, learned)]
    return ids, labels
# clause: "Labels are the ids on every assistant's content and its <|endoftext|>" - an answer with a token of id 0, or special["<|endoftext|>"] == 0
