# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n, temperature")
    random.seed(seed)
    out = [[] for _ in prompts]
    for _ in range(n):
        for i, text in enumerate(generate(prompts, temperature, random.randrange(2**31))):
            out[i].append(text)
    return out

# clause: seeds depend on `seed` only: a generate that seeds `random` itself makes them repeat
