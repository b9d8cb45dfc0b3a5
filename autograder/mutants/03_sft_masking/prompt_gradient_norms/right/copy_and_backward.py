# exercise: prompt_gradient_norms
import copy


def prompt_gradient_norms(model, input_ids, labels):
    model = copy.deepcopy(model)
    embedded = model.get_input_embeddings()(input_ids).detach().clone()
    embedded.requires_grad_()
    sft_loss(model(inputs_embeds=embedded).logits, labels).backward()
    return embedded.grad[0].pow(2).sum(-1).sqrt()
