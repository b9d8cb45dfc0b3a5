# exercise: route
def route(logits, k):
    probabilities, indices = logits.softmax(-1).topk(k, dim=-1)
    values = logits.gather(1, indices).float()
    return values.softmax(-1), indices

# clause: the k largest LOGITS: in bfloat16 different logits have equal probabilities
