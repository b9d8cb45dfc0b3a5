# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    caught = {}

    def hook(module, args, output):
        caught["vectors"] = output.detach().requires_grad_(True)
        return caught["vectors"]

    model.get_input_embeddings().register_forward_hook(hook)
    loss = sft_loss(model(input_ids=input_ids).logits, labels)
    (gradient,) = torch.autograd.grad(loss, caught["vectors"])
    return gradient[0].norm(dim=-1)
# clause: "arguments are never modified" - the hook stays: in later training the embedding table gets no gradient (untied model), and hooks pile up with each call
