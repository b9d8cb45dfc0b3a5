# exercise: merged_linear
def merged_linear(layer):
    layer.base.weight.data += layer.scaling * layer.lora_B @ layer.lora_A
    return copy.deepcopy(layer.base)
