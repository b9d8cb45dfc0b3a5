# exercise: sft_loss
def sft_loss(logits, labels):
    logp = torch.log_softmax(logits[:, :-1].to(torch.float32), dim=-1)
    y = labels[:, 1:]
    m = (y != -100)
    nll = -logp.gather(-1, y.where(m, torch.zeros_like(y)).unsqueeze(-1)).squeeze(-1)
    return (nll * m).sum() / max(1, int(m.sum()))
