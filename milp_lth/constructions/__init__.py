"""How a random network is laid out so that its pruning approximates a target; one a file."""
