# exercise: merged_linear
def merged_linear(layer):
    with torch.no_grad():
        new = copy.deepcopy(layer.base)
        delta = layer.lora_B @ layer.lora_A
        new.weight.copy_(layer.base.weight.float() + layer.scaling * delta.float())
    return new
# violates: added up in float32 or better: when A and B are 16-bit, B A is rounded to 16 bits first
