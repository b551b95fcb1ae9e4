"""The command line: read, watch, print. Data goes to stdout, messages to stderr. One file a command.

Everything but click is imported inside the commands, so that ``curvecast --help`` answers at once.
"""

from __future__ import annotations

import errno
import io
import sys
from typing import Any

import click

from curvecast import __version__
from curvecast.cli.analyze import analyze
from curvecast.cli.fit import fit
from curvecast.cli.learn import learn
from curvecast.cli.plan import plan
from curvecast.cli.shared import count
from curvecast.cli.watch import watch

__all__ = ["count", "main"]


_STOPPED = 130  # as shells say of Ctrl-C; click's 1 would say that a verdict of --fail-on stands


class _FullDiskError(click.ClickException):
    exit_code = 2  # 1 would say that a verdict of --fail-on stands


class _Commands(click.Group):
    """Commands whose output may meet a full disk: that is said in a line, as click does for a pipe that is closed."""

    def invoke(self, ctx: click.Context) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="replace")  # a run's name may have letters that a terminal has not
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(_STOPPED)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise _FullDiskError("cannot write the output: no space is left. Pass it on to another disk.") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="curvecast")
def main() -> None:
    """Forecast the final loss of training runs, with intervals, and advise when to stop.

    Start with: curvecast analyze runs/ --horizon 20000

    Shell completion: eval "$(_CURVECAST_COMPLETE=bash_source curvecast)", or zsh_source, or fish_source.
    """


for command in (analyze, watch, fit, plan, learn):
    main.add_command(command)
