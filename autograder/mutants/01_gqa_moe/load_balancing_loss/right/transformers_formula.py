# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    routing_weights = torch.nn.functional.softmax(router_logits, dim=-1)
    _, selected = torch.topk(routing_weights, k, dim=-1)
    expert_mask = torch.nn.functional.one_hot(selected, router_logits.shape[-1])
    tokens_per_expert = torch.mean(expert_mask.float(), dim=0)
    router_prob_per_expert = torch.mean(routing_weights, dim=0)
    return torch.sum(tokens_per_expert * router_prob_per_expert.unsqueeze(0)) * router_logits.shape[-1]
