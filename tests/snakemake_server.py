"""Runs Snakemake in forks of this process, which imported it once: half of a dry run is imports.

Reads one call a line from its standard input, as JSON: arguments, folder, environment, and the file
that takes what Snakemake prints. Answers with its exit code. Each call is a process of its own, as
`python -m snakemake` is: nothing that one does is seen by the next.
"""

import json
import os
import sys
import warnings

import smart_open  # noqa: F401 (imported by every run, after its start)
import snakemake.cli


def run(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> None:
    """Become the process of one call; ends as Snakemake does, with SystemExit."""
    os.environ.clear()
    os.environ.update(environment)
    warnings.simplefilter("ignore")
    os.chdir(folder)
    sys.path[0] = folder  # as `python -m` has it
    sys.argv[1:] = arguments
    for stream, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        os.dup2(os.open(output if stream else os.devnull, flags | os.O_APPEND), stream)
    snakemake.cli.main()


snakemake.cli.get_argument_parser()  # finds the plugins, which are found once
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(**json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
