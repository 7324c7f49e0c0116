"""Shows an answer sentence by sentence while it comes."""

from collections.abc import Callable

from warmline.domain.chunks import complete_sentences


class Sentences:
    """Implements `TextSink`. Nothing is shown that `passes` refuses, nor anything after it."""

    def __init__(self, show: Callable[[str], None] | None, passes: Callable[[str], bool]) -> None:
        """Show by `show`; only collect when it is None. `passes` judges everything up to the sentence to be shown."""
        self._show = show
        self._passes = passes
        self._text = ""
        self.shown = ""

    def add(self, text: str) -> None:
        """Take the next piece."""
        # The message that is said in the end has no white space around it.
        self._text = self._text + text if self._text else text.lstrip()
        ready = complete_sentences(self._text)
        if self._show is None or len(ready) <= len(self.shown):
            return
        if not self._passes(ready):
            self._show = None
            return
        self._show(ready[len(self.shown) :])
        self.shown = ready

    def restart(self) -> bool:
        """Forget what was added; False when a part of it has been shown."""
        if self.shown:
            return False
        self._text = ""
        return True
