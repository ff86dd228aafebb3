"""Machine code for the parts of a program where numpy is slow; only codegen.py knows llvmlite."""
