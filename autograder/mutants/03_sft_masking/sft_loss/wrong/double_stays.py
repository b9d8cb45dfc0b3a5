# exercise: sft_loss
def sft_loss(logits, labels):
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    logits, labels = logits[:, :-1], labels[:, 1:]
    n = (labels != -100).sum().clamp(min=1)
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / n
# clause: float32, also for float64 logits
