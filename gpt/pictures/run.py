"""What pictures need of a run's folder: the model, its text, its log."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_edu import Value, collector_paused, no_grad, record_calls
from tinygrad_edu.calls import CallRecord
from tinygrad_edu.compiler import Compiled, jit
from viz import DrawingError

from ..errors import DataError
from ..inspection.loss_graph import Recorded, recorded_end, recorded_loss
from ..runs.saved_run import SavedRun
from ..sample import ScalarScorer

__all__ = ["PicturedRun"]


class PicturedRun(SavedRun):
    """A run, and what pictures are made of."""

    def tokens(self, text: str | None = None, length: int | None = None) -> list[int]:
        """Return the tokens of a text, or the beginning of the run's validation text; of documents, the first one.

        Args:
            text: any text in the alphabet of the run.
            length: the largest number of tokens; by default the whole context and the character that follows it.

        Raises DrawingError if the text is empty or that of the run is gone, UnknownCharacterError for a character that
        is not in the alphabet.
        """
        length = self.config.model.block_size + 1 if length is None else length
        if length < 1:
            raise DrawingError(f"a picture shows at least 1 character, got {length}")
        tokenizer = self.tokenizer
        try:
            corpus = self.corpus() if text is None else None
        except DataError as error:
            raise DrawingError(f"{error}; give another text with --text") from None
        found = tokenizer.encode(self.config.opening(text or "")) if corpus is None else corpus.beginning(length)
        if not found or text == "":
            raise DrawingError("the text is empty; give at least one character")
        return found[:length]

    def characters(self, tokens: Sequence[int]) -> list[str]:
        """Return each token as its character."""
        return [self.tokenizer.decode([token]) for token in tokens]

    def embeddings(self, *, positions: bool = False) -> Sequence[Sequence[Value]]:
        """Return a vector per character of the alphabet, or per position of the context.               # (V or T, C)"""
        tables = self.model.transformer
        if not positions:
            return tables.wte.weight
        if not tables.learned:
            raise DrawingError("this model turns queries and keys by angles; it has no vectors of positions to show")
        return tables.wpe.weight

    def called(self, tokens: Sequence[int]) -> CallRecord:
        """Record the module calls on tokens, without a graph: that of a large model would fill the memory."""
        with no_grad(), record_calls() as calls, collector_paused():
            self.model(tokens)
        return calls

    def compiled(self, tokens: Sequence[int]) -> Compiled:
        """Compile the loss of the model, for texts as long as these tokens without the last."""
        compiled = jit(self.model.loss, self.model)
        compiled([list(tokens[:-1])], [list(tokens[1:])])
        return compiled

    def recorded(self, tokens: Sequence[int]) -> tuple[Value, CallRecord, int]:
        """Return the loss on tokens after ``backward()``, the recorded calls, and the number of predicted tokens.

        The first tokens are read and the ones after them are targets, as :mod:`gpt.inspection.loss_graph` says.
        """
        _check_pair(tokens)
        return recorded_loss(self.model, tokens)

    def recorded_end(self, tokens: Sequence[int], most: int, whole: int) -> Recorded:
        """Do the same for the last blocks if the model is large, see :func:`gpt.inspection.loss_graph.recorded_end`."""
        _check_pair(tokens)
        return recorded_end(self.model, tokens, most, whole)

    def logits(self, tokens: Sequence[int]) -> list[float]:
        """Return the scores of the next token; the model sees the last ``block_size`` tokens.           # (T) → (V)"""
        return list(ScalarScorer(self.model)(tokens[-self.config.model.block_size :]))


def _check_pair(tokens: Sequence[int]) -> None:
    if len(tokens) < 2:
        raise DrawingError(f"a loss needs a character and the one that follows it; got {len(tokens)}")
