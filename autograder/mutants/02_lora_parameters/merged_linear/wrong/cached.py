# exercise: merged_linear
import functools


@functools.lru_cache(maxsize=None)
def merged_linear(layer):
    with torch.no_grad():
        new = copy.deepcopy(layer.base)
        kind = torch.promote_types(new.weight.dtype, torch.float32)
        delta = layer.lora_B.to(kind) @ layer.lora_A.to(kind)
        new.weight.copy_(layer.base.weight.to(kind) + layer.scaling * delta)
    return new
# violates: W + (alpha/r) B A of now: a second call gives the result of the first
