# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1:
        raise ValueError("n")
    if temperature <= 0:
        raise ValueError("temperature")
    return [[generate([p], temperature, seed * 100003 + i)[0] for i in range(n)] for p in prompts]
