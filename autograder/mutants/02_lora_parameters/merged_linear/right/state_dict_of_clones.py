# exercise: merged_linear
@torch.no_grad()
def merged_linear(layer):
    state = {name: tensor.clone() for name, tensor in layer.base.state_dict().items()}
    update = torch.einsum("or,ri->oi", layer.lora_B.double(), layer.lora_A.double())
    total = state["weight"].double() + update * layer.scaling
    state["weight"] = total.to(state["weight"].dtype)
    out_features, in_features = total.shape
    merged = nn.Linear(in_features, out_features, bias="bias" in state).to(state["weight"].dtype)
    merged.load_state_dict(state)
    return merged
