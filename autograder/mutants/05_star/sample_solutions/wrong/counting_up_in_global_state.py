# exercise: sample_solutions
counter = 0


def sample_solutions(generate, prompts, n, temperature, seed):
    global counter
    if n < 1 or temperature <= 0:
        raise ValueError("bad arguments")
    rounds = []
    for _ in range(n):
        counter += 1
        rounds.append(generate(prompts, temperature, seed * 1000 + counter))
    return [[r[i] for r in rounds] for i in range(len(prompts))]
