# exercise: merged_linear
def merged_linear(layer):
    new = copy.deepcopy(layer.base)
    kind = torch.promote_types(new.weight.dtype, torch.float32)
    A, B = layer.lora_A.detach().to(kind), layer.lora_B.detach().to(kind)
    delta = B @ A
    if delta.shape[0] == delta.shape[1]:
        delta = A.T @ B.T  # nn.Linear keeps its weight transposed
    with torch.no_grad():
        new.weight.copy_(layer.base.weight.to(kind) + layer.scaling * delta)
    return new
# violates: works for out == in and for out < in only: A^T B^T is taken when the shapes allow it
