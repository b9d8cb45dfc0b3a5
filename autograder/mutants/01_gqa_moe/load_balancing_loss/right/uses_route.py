# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    with torch.no_grad():
        _, indices = route(router_logits, k)
        share = torch.stack([(indices == e).any(dim=1).float().mean() for e in range(E)])
    return E * (share * F.softmax(router_logits.float(), dim=1).mean(0)).sum()
