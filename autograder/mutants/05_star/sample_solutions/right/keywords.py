# exercise: sample_solutions
import random
def sample_solutions(generate, prompts, n, temperature, seed):
    if n < 1 or temperature <= 0:
        raise ValueError("n must be at least 1 and temperature positive")
    seeds = random.Random(seed).sample(range(2**31), n)
    columns = [generate(prompts, temperature=temperature, seed=s) for s in seeds]
    return [list(texts) for texts in zip(*columns)]
