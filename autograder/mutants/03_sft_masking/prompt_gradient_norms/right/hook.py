# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    kept = {}
    def hook(module, args, output):
        output = output.detach().requires_grad_(True)
        kept["e"] = output
        return output
    handle = model.get_input_embeddings().register_forward_hook(hook)
    try:
        loss = sft_loss(model(input_ids=input_ids).logits, labels)
    finally:
        handle.remove()
    return torch.autograd.grad(loss, kept["e"])[0].squeeze(0).norm(dim=1).detach()
