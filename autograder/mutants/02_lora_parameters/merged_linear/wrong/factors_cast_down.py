# exercise: merged_linear
def merged_linear(layer):
    with torch.no_grad():
        new = copy.deepcopy(layer.base)
        kind = layer.base.weight.dtype
        A, B = layer.lora_A.to(kind).float(), layer.lora_B.to(kind).float()
        new.weight.copy_(layer.base.weight.float() + layer.scaling * (B @ A))
    return new
# violates: added up in float32: float32 factors are rounded to W's dtype first
