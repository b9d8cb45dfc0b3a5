# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    current = base
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        start = base if restart else current
        current = finetune(start, pairs) if pairs else start
        history.append({"round": number, "kept": len(pairs),
                        "solved": len({i for i, _ in pairs}), "score": evaluate(current)})
    return history
