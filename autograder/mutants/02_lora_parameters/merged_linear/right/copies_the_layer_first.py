# exercise: merged_linear
def merged_linear(layer):
    twin = copy.deepcopy(layer)
    linear = twin.base
    wide = torch.promote_types(linear.weight.dtype, torch.float32)
    linear.weight.data = (
        linear.weight.data.to(wide) + twin.lora_B.data.to(wide).mul(twin.scaling).mm(twin.lora_A.data.to(wide))
    ).to(linear.weight.dtype)
    for p in linear.parameters():
        p.requires_grad = True
    return linear
