"""Go through backpropagation one number at a time: steppers, exercises, the bug lab, walk-throughs, animations."""
