# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    vectors = model.get_input_embeddings()(input_ids).detach().clone()
    vectors.requires_grad = True
    logits = model(inputs_embeds=vectors).logits[0, :-1].float()
    targets = labels[0, 1:]
    keep = targets != -100
    loss = -logits[keep].log_softmax(-1).gather(1, targets[keep][:, None]).mean()
    g = torch.autograd.grad(loss, [vectors])[0]
    return (g[0] ** 2).sum(-1).sqrt()
