# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    if r < 1:
        raise ValueError(f"r must be >= 1, not {r}")
    names = {n for n in shapes for t in targets if ("." + n).endswith("." + t)}
    if not names:
        raise ValueError("no target matches a module")
    count = 0
    for n in names:
        o, i = shapes[n]
        a = torch.empty(r, i, device="meta")
        b = torch.empty(o, r, device="meta")
        count += a.numel() + b.numel()
    return count
