# exercise: effective_rank
def effective_rank(delta: torch.Tensor, energy: float = 0.9) -> int:
    if delta.count_nonzero() == 0:
        return 0
    s = torch.svd(delta.double().contiguous(), compute_uv=False).S
    share = (s**2).cumsum(dim=0) / (s**2).sum()
    return (share >= energy).int().argmax().item() + 1
