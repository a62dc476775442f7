"""How a weight, a neuron or a layer is rebuilt: in numbers, and as a page to be played with."""
