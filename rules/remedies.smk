# What this run was started with, for the commands in messages: scripts/cia/remedies.py.

from cia.remedies import START, remember_command, suggest_unlock
from snakemake.logging import logger

if workflow.is_main_process or START not in os.environ:  # jobs have it from the environment
    remember_command(
        workflow.config_settings.configfiles, workflow.config_settings.config_args or (), sys.argv
    )
suggest_unlock(logger)
