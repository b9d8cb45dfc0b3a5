# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n >= 1 and temperature > 0 are needed")
    generator = torch.Generator().manual_seed(seed)
    result = [[] for _ in prompts]
    used = set()
    while len(used) < n:
        one = int(torch.randint(2**40, (1,), generator=generator))
        if one in used:
            continue
        used.add(one)
        for own, text in zip(result, generate(prompts, temperature, one)):
            own.append(text)
    return result
