# exercise: sft_loss
def sft_loss(logits, labels):
    y = labels[:, 1:]
    m = (y != -100).to(logits.dtype)
    each = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), y.flatten(), reduction="none")
    n = m.flatten().cumsum(0)[-1].clamp(min=1)
    return each.sum() / n.float()
# clause: mean over supervised tokens: a bfloat16 running count is rounded (and stops) at 256
