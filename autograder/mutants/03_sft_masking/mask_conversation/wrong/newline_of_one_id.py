# exercise: mask_conversation
def mask_conversation(messages, encode, special):
    nl = encode("\n")[0]
    ids, labels = [], []
    for i, m in enumerate(messages):
        if i:
            ids.append(nl); labels.append(-100)
        ids += [special["<|" + m["role"] + "|>"], nl]
        labels += [-100, -100]
        content = encode(m["content"])
        if m["role"] == "assistant":
            content = content + [special["<|endoftext|>"]]
            labels += content
        else:
            labels += [-100] * len(content)
        ids += content
    return ids, labels
# clause: encode("\n") may be several ids
