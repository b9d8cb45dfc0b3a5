# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError("rank below one")
    count = None
    for name, (out, inp) in shapes.items():
        if any(name == t or name.endswith(f".{t}") for t in targets):
            A = torch.empty(r, inp, device="meta")
            B = torch.empty(out, r, device="meta")
            count = (count or 0) + A.numel() + B.numel()
    if count is None:
        raise ValueError("nothing matches the targets")
    return count
