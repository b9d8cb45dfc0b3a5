# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    def row(number, pairs, model):
        solved = set(pair[0] for pair in pairs)
        return dict(round=number, kept=len(pairs), solved=len(solved), score=evaluate(model))

    rows, model = [row(0, [], base)], base
    for number in range(n_rounds):
        pairs = keep(problems, sample(model, problems))
        if len(pairs) > 0:
            model = finetune(base, pairs) if restart else finetune(model, pairs)
        rows.append(row(number + 1, pairs, model))
    return rows
