# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    current, score = base, evaluate(base)
    out = [{"round": 0, "kept": 0, "solved": 0, "score": score}]
    for r in range(1, n_rounds + 1):
        samples = sample(current, problems)
        kept = keep(problems, samples)
        if not kept:  # the same model has the same score
            out.append({"round": r, "kept": 0, "solved": 0, "score": score})
            continue
        start = current
        if restart:
            start = base
        current = finetune(start, kept)
        score = evaluate(current)
        out.append({"round": r, "kept": len(kept), "solved": len({i for i, _ in kept}), "score": score})
    return out
