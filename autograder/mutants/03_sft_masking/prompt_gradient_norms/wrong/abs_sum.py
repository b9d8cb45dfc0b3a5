# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    with torch.enable_grad():
        emb = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
        loss = sft_loss(model(inputs_embeds=emb).logits, labels)
        (g,) = torch.autograd.grad(loss, emb)
    return g[0].float().abs().sum(-1)
