"""What the commands show on a terminal's stderr while they work, and nowhere else."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from .console import stderr, stdout

__all__ = ["Steps"]


class Steps:
    """A line that names the present step, with a bar once the number of steps is known.

    It shows nothing where stderr is no terminal, and leaves nothing behind.
    """

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=stderr(),
            transient=True,
            # A thread that redraws would compete with what is being timed.
            auto_refresh=False,
        )
        self._task = self._progress.add_task("starting", total=None)

    def step(self, text: str) -> None:
        """Name the step that begins now; once a number is expected, count it."""
        self._progress.update(self._task, description=text, advance=1, refresh=True)

    def expect(self, steps: int) -> None:
        """Start the count of `steps` steps."""
        self._progress.reset(self._task, total=steps)

    def reach(self, done: int, total: int) -> None:
        """Show how much of the work is done, in percent."""
        self._progress.update(self._task, completed=100 * done // max(total, 1), total=100, refresh=True)

    def print(self, line: Text) -> None:
        """Print a line of results to stdout, above the bar where both share a terminal."""
        if self._progress.console.quiet:
            stdout().print(line, soft_wrap=True)
            return
        self._progress.stop()
        stdout().print(line, soft_wrap=True)
        self._progress.start()

    def __enter__(self) -> Steps:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
