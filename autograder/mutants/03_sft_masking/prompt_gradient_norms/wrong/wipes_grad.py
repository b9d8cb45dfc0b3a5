# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    e = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
    sft_loss(model(inputs_embeds=e).logits, labels).backward()
    model.zero_grad()
    return e.grad[0].norm(dim=-1)
# clause: .grad as it was: one that was there is gone
