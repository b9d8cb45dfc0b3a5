# exercise: merged_linear
def merged_linear(layer):
    out, inp = layer.base.weight.shape
    merged = nn.Linear(inp, out, bias=False, dtype=layer.base.weight.dtype)
    update = layer.scaling * (layer.lora_B.float() @ layer.lora_A.float())
    merged.weight.data = (layer.base.weight.float() + update).to(layer.base.weight.dtype).detach()
    return merged
