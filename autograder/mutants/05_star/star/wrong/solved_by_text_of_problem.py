# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    current = base
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        if pairs:
            current = finetune(base if restart else current, pairs)
        solved = len({str(problems[i]) for i, _ in pairs})
        history.append({"round": number, "kept": len(pairs), "solved": solved, "score": evaluate(current)})
    return history

# clause: solved: distinct problems by index; two equal questions are two
