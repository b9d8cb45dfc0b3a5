# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1:
        raise ValueError("n")
    if temperature <= 0:
        raise ValueError("temperature")
    flat = generate([p for p in prompts for _ in range(n)], temperature, seed)
    return [flat[i * n:(i + 1) * n] for i in range(len(prompts))]
