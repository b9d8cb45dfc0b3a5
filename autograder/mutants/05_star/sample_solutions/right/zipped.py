# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1:
        raise ValueError("n must be at least 1")
    if not temperature > 0:
        raise ValueError("temperature must be positive")
    calls = []
    for i in range(n):
        calls.append(generate(prompts, temperature, 1_000_000 * (seed + 1) + i))
    return [list(texts) for texts in zip(*calls)]
