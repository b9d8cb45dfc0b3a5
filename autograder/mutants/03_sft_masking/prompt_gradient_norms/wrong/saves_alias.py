# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    before = {n: p.grad for n, p in model.named_parameters()}
    e = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
    sft_loss(model(inputs_embeds=e).logits, labels).backward()
    for n, p in model.named_parameters():
        p.grad = before[n]
    return e.grad[0].norm(dim=-1)
# clause: .grad as it was: backward adds into the saved tensors themselves
