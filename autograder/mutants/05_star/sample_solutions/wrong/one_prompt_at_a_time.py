# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("bad arguments")
    return [[generate([p], temperature, seed + i)[0] for i in range(n)] for p in prompts]
