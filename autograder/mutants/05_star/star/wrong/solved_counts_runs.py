# exercise: star
from itertools import groupby


def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    current = base
    rows = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        if pairs:
            current = finetune(base if restart else current, pairs)
        solved = sum(1 for _ in groupby(pairs, key=lambda pair: pair[0]))
        rows.append(
            {"round": number, "kept": len(pairs), "solved": solved, "score": evaluate(current)}
        )
    return rows
# clause: "solved: their distinct problems" - counts runs of equal indices; shows when keep gives pairs that are not sorted, e.g. indices 0, 2, 0
