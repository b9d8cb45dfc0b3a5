# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    result = []
    for i, problem in enumerate(problems):
        chosen = {}
        for text in samples[i]:
            if is_correct(text, problem):
                chosen.setdefault("".join(equations(text)) or text, text)
        result += [(i, text) for text in list(chosen.values())[:max_per_problem]]
    return result

# clause: <<1+1=2>><<2+2=4>> and <<1+1=22+2=4>> are different chains
