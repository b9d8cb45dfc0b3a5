# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    current = base
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        if pairs:
            current = finetune(base if restart else current, pairs)
        history.append({"round": number, "kept": len(pairs), "solved": len({i for i, _ in pairs}), "score": evaluate(current)})
        if history[-1]["score"] >= 1.0:
            break
    return history

# clause: n_rounds + 1 dicts: a perfect score does not end it
