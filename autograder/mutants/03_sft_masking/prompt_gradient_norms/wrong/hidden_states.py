# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    with torch.enable_grad():
        emb = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
        loss = sft_loss((o := model(inputs_embeds=emb, output_hidden_states=True)).logits, labels)
        (g,) = torch.autograd.grad(loss, o.hidden_states[-1])
    return g[0].float().norm(dim=-1)
