# exercise: merged_linear
def merged_linear(layer):
    W, b = layer.base.weight, layer.base.bias
    wide = torch.float64
    new = torch.addmm(W.detach().to(wide), layer.lora_B.detach().to(wide),
                      layer.lora_A.detach().to(wide), alpha=layer.scaling)
    result = nn.Linear(W.shape[1], W.shape[0], bias=b is not None, device=W.device, dtype=W.dtype)
    state = {"weight": new.to(W.dtype)}
    if b is not None:
        state["bias"] = b.detach()
    result.load_state_dict(state)
    return result
