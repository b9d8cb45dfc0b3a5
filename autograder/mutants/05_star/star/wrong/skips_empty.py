# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    model = base
    for r in range(1, n_rounds + 1):
        pairs = keep(problems, sample(model, problems))
        if not pairs:
            continue
        if pairs:
            model = finetune(base if restart else model, pairs)
        history.append({"round": r, "kept": len(pairs), "solved": len({i for i, _ in pairs}), "score": evaluate(model)})
    return history
