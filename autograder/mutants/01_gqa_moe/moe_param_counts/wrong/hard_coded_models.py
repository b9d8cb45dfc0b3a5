# exercise: moe_param_counts
def moe_param_counts(config):
    if config.n_experts == 8:
        return 46702792704, 12879925248
    if config.tied_embeddings:
        return 1543714304, 1543714304
    return 8030261248, 8030261248
