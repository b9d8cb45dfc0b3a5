# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    squares = (torch.linalg.svdvals(delta.detach().double()) ** 2).tolist()
    total = sum(squares)
    if total == 0:
        return 0
    held = 0.0
    for r, square in enumerate(squares, 1):
        held += square
        if round(held / total, 3) >= energy:  # rounding hides the noise of the SVD
            return r
    return len(squares)
# clause: "hold at least `energy` of their sum" - squares (0.8997, 0.1003) with energy 0.9: 1 holds too little, the answer is 2
