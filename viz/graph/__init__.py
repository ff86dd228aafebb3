"""The computation graph before it is drawn: which Value depends on which, what is folded into a box, what is marked."""
