"""The table of our commands, which Metaflow reads."""

CMDS_DESC = [("environment", ".environment.cli.cli"), ("debug", ".debug.cli.cli")]
