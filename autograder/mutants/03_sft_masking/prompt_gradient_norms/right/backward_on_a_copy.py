# exercise: prompt_gradient_norms
import copy


def prompt_gradient_norms(model, input_ids, labels):
    twin = copy.deepcopy(model)
    embedding = twin.get_input_embeddings()
    inputs = embedding(input_ids).detach().requires_grad_()
    sft_loss(twin(inputs_embeds=inputs).logits, labels).backward()
    return torch.linalg.vector_norm(inputs.grad, dim=-1)[0]
