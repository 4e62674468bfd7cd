"""The table of our plug-ins, which Metaflow reads; nothing is imported here."""

STEP_DECORATORS_DESC = [
    ("conda", ".conda.decorators.CondaDecorator"),
    ("pypi", ".conda.decorators.PypiDecorator"),
    ("pip", ".conda.decorators.PipDecorator"),
    ("named_env", ".conda.decorators.NamedEnvDecorator"),
    ("sys_packages", ".conda.decorators.SysPackagesDecorator"),
    ("conda_env_internal", ".conda.internal.CondaEnvInternalDecorator"),
]

FLOW_DECORATORS_DESC = [
    ("conda_base", ".conda.decorators.CondaBaseDecorator"),
    ("pypi_base", ".conda.decorators.PypiBaseDecorator"),
    ("pip_base", ".conda.decorators.PipBaseDecorator"),
    ("named_env_base", ".conda.decorators.NamedEnvBaseDecorator"),
    ("sys_packages_base", ".conda.decorators.SysPackagesBaseDecorator"),
]

ENVIRONMENTS_DESC = [
    ("conda", ".conda.environment.CondaEnvironment"),
    ("pypi", ".conda.environment.PypiEnvironment"),
]

CLIS_DESC = [("environment", ".conda.cli.cli")]

RUNNER_CLIS_DESC = [("environment", ".conda.runner.EnvironmentCommands")]

TL_PLUGINS_DESC = [
    ("req_parser", ".conda.parsers.req_parser"),
    ("yml_parser", ".conda.parsers.yml_parser"),
    ("toml_parser", ".conda.parsers.toml_parser"),
    ("requirements_txt_parser", ".conda.parsers.requirements_txt_parser"),
    ("conda_environment_yml_parser", ".conda.parsers.conda_environment_yml_parser"),
    ("pyproject_toml_parser", ".conda.parsers.pyproject_toml_parser"),
]
