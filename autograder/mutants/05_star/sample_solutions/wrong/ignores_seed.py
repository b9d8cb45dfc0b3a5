# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1:
        raise ValueError("n")
    if temperature <= 0:
        raise ValueError("temperature")
    rounds = [generate(prompts, temperature, i) for i in range(n)]
    return [[r[j] for r in rounds] for j in range(len(prompts))]
