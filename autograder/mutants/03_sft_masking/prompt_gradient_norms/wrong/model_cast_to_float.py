# exercise: prompt_gradient_norms
def prompt_gradient_norms(model, input_ids, labels):
    model = model.float()  # bfloat16 gradients are too coarse
    vectors = model.get_input_embeddings()(input_ids).detach().requires_grad_(True)
    loss = sft_loss(model(inputs_embeds=vectors).logits, labels)
    (gradient,) = torch.autograd.grad(loss, vectors)
    return gradient[0].norm(dim=-1)
# clause: "its parameters stay as they are" - a model in bfloat16 (or float64): .float() works in place, all its parameters are float32 afterwards
