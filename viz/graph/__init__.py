"""The computation graph before it is drawn: who was computed from whom, what is folded into a box, what is marked."""
