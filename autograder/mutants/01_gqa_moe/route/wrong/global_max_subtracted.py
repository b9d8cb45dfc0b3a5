# exercise: route
def route(logits, k):
    values, indices = logits.float().topk(k, dim=-1)
    exponentials = (values - values.max()).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True), indices
# clause: "each row sums to 1": the maximum is that of all rows; shows when one row lies more than 104 below another, e.g. rows (200, 199, 0) and (1, 0, -1): the second gives nan
