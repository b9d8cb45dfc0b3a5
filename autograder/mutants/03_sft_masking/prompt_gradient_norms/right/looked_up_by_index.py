# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    table = model.get_input_embeddings().weight.detach()
    leaf = table[input_ids].requires_grad_(True)
    logits = model(inputs_embeds=leaf).logits
    shifted, wanted = logits[0, :-1].float(), labels[0, 1:]
    loss = F.cross_entropy(shifted, wanted, ignore_index=-100)
    grad = torch.autograd.grad(loss, [leaf])[0]
    return torch.linalg.vector_norm(grad, dim=-1).squeeze(0)
