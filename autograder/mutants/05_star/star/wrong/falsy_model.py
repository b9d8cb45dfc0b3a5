# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    current = base
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        new = finetune(base if restart else current, pairs) if pairs else None
        current = new or current
        history.append({"round": number, "kept": len(pairs), "solved": len({i for i, _ in pairs}), "score": evaluate(current)})
    return history

# clause: a model is any object, also one that is false (len 0, 0)
