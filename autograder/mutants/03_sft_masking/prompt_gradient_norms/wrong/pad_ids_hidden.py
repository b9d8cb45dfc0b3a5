# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    pad_id = model.config.pad_token_id
    if pad_id is None:
        pad_id = model.config.eos_token_id
    attention_mask = (input_ids != pad_id).long()
    embeds = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
    logits = model(inputs_embeds=embeds, attention_mask=attention_mask).logits
    (grad,) = torch.autograd.grad(sft_loss(logits, labels), embeds)
    return grad[0].norm(dim=-1)
# clause: "the derivative of sft_loss by each position's embedding" (of the model on input_ids; nothing is padded in (1, T)); shows when the id of pad/eos stands before the end, e.g. an eos between two turns: the model does not see it
