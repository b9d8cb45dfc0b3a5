# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    models = [base]
    history = []
    pairs = []
    for number in range(n_rounds + 1):
        if number > 0:
            pairs = keep(problems, sample(models[-1], problems))
            models.append(
                finetune(models[0] if restart else models[-1], pairs) if pairs else models[-1]
            )
        problems_solved = []
        for index, _ in pairs:
            if index not in problems_solved:
                problems_solved.append(index)
        history.append(
            {
                "round": number,
                "kept": len(pairs),
                "solved": len(problems_solved),
                "score": evaluate(models[-1]),
            }
        )
    return history
