"""`jaxrl COMMAND ...`: reads the command, and turns what a person got wrong into one sentence and exit status 2."""

import importlib
import signal
import sys
from collections.abc import Sequence

from jaxrl.cli.distributed import joined
from jaxrl.cli.errors import UsageError
from jaxrl.pytree import unknown_name

HELP = """\
jaxrl: reinforcement learning in JAX.

  jaxrl train                            train PPO on CartPole-v1 over 16 seeds
  jaxrl train env=Acrobot-v1 seeds=4     another environment, fewer seeds
  jaxrl train algorithm=a2c algorithm.learning_rate=1e-3
  jaxrl train algorithm.learning_rate=1e-4,1e-3   a sweep: one program, a ranked table
  jaxrl resume RUN                       go on with a run that was stopped
  jaxrl evaluate RUN                     play with the policies of a run folder
  jaxrl export RUN                       write a policy for use without jaxrl
  jaxrl plot RUN RUN output=curves.svg   draw run folders into one picture
  jaxrl compare RUN RUN                  a table of run folders with intervals
  jaxrl record RUN                       films of the best and the median seed, as GIF and MP4
  jaxrl list                             algorithms and environments
  jaxrl check                            whether the installation, an environment or a run folder is sound
  jaxrl train --help                     every setting, with its default

Settings are written name=value. Compiled programs are kept in ~/.cache/jaxrl (or $JAXRL_CACHE).
"""


COMMANDS = {
    "train": "jaxrl.cli.train:train",
    "resume": "jaxrl.cli.resume:resume",
    "evaluate": "jaxrl.cli.evaluate:evaluate",
    "export": "jaxrl.cli.export:export",
    "plot": "jaxrl.cli.plot:plot",
    "compare": "jaxrl.cli.compare:compare",
    "record": "jaxrl.cli.record:record",
    "list": "jaxrl.cli.listing:show_list",
    "check": "jaxrl.cli.check:check",
}
"""Command -> the function that carries it out, imported when it is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with `arguments` (default: the process's own); returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    command, *rest = arguments
    if command == "--version":
        import jaxrl

        print(f"jaxrl {jaxrl.__version__}")
        return 0
    try:
        if command not in COMMANDS:
            raise UsageError(unknown_name("There is no command", command, list(COMMANDS)))
        rest = joined(rest) if command in ("train", "resume") else rest
        module, _, function = COMMANDS[command].partition(":")
        status: int = getattr(importlib.import_module(module), function)(rest)
        return status
    except UsageError as error:
        print(f"jaxrl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"jaxrl: {str(error) or 'interrupted.'}", file=sys.stderr)
        return 128 + getattr(error, "signal_number", signal.SIGINT)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stderr.close()
        return 0


if __name__ == "__main__":
    sys.exit(main())
