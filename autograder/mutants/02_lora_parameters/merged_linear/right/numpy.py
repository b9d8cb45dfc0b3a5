# exercise: merged_linear
import numpy as np


def merged_linear(layer):
    def array(t):
        return t.detach().double().numpy()

    weight = array(layer.base.weight) + layer.scaling * np.dot(
        array(layer.lora_B), array(layer.lora_A)
    )
    plain = copy.deepcopy(layer.base)
    plain.weight.data = torch.from_numpy(weight).to(plain.weight.dtype)
    return plain
