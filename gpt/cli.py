"""The command line: ``python -m gpt COMMAND``; each command is a file in ``commands/``, imported when it runs."""

from __future__ import annotations

from tinygrad_edu.command_line import CommandLine

__all__ = ["COMMANDS", "LINE", "main"]

#: By name, in the order of ``--help``: the file in ``commands/``, and what the command does.
COMMANDS = {
    "train": ("train", "train a GPT and save it"),
    "find-lr": ("find_lr", "find a learning rate by trying larger and larger ones for a few steps"),
    "sweep": ("sweep", "grid search with short runs"),
    "sample": ("sample", "write text with a trained model"),
    "chat": ("chat", "write a text together with a trained model, line by line"),
    "eval": ("eval", "measure the loss of a trained model, or show which characters surprise it"),
    "compare": ("compare", "compare two trained models, or the best and the last of one run"),
    "info": ("info", "show what the folder of a run holds, and where time and memory go"),
    "text": ("text", "report on a text: alphabet, rare characters, repeated lines, and what to do"),
    "draw": ("draw", "draw the graph of a trained model's loss, with gradients"),
    "graph": ("draw", "the same as draw"),
    "explore": ("explore", "write that graph as one page whose boxes open, down to one multiplication"),
    "flow": ("flow", "show where the gradient flows, vanishes or explodes"),
    "attention": ("charts", "show what each head attends to"),
    "next": ("charts", "show which characters come next, and which of them sampling cuts"),
    "curve": ("charts", "show how the loss of runs fell, next to the n-gram baselines"),
    "embeddings": ("charts", "show the vectors of characters, in the plane in which they differ most"),
    "histogram": ("charts", "show how weights and gradients are distributed"),
    "compilation": ("charts", "show which scalars of a loss became which array instruction"),
    "timemachine": ("timemachine", "go back and forth through a training run that kept snapshots (train --keep 20)"),
    "report": ("report", "write a folder that opens as one page with everything about a run"),
    "play": ("play", "make the playground, one page that computes, trains and reads models; RUN is read there"),
    "export": ("exchange", "write a model with nanoGPT's parameter names, for Hugging Face, or as WebAssembly"),
    "import": ("exchange", "turn a model with nanoGPT's parameter names, or GPT-2 itself, into a run"),
    "export-log": ("export_log", "write the log of a run as CSV or for TensorBoard"),
}
LINE = CommandLine(
    "gpt",
    "gpt.commands",
    COMMANDS,
    "Train a character-level GPT made of scalars, and write text with it.",
    "Help on a command: %(prog)s train --help",
)
main = LINE.main
