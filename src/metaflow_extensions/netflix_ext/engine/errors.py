"""Every error a user can meet. Imports on Python 3.7 (step side).

ExtensionError               base: a message, a hint
  InputError                 what the user wrote cannot be understood or contradicts itself
    UnknownError             a name means no environment that is known, or several
    AliasError               an alias cannot be given, or cannot come to mean another environment
    FileError, FaultsError   the same of one place in a file, or of several: see `place`
  SettingError               a configuration variable holds a value it cannot have
  ResolveError               no set of packages satisfies a spec
  SourceError                a channel or index is missing, unreachable or returns garbage
  PackageError               a package cannot be fetched, or its bytes are not those resolved
  CreateError                a prefix cannot be made on this machine
  StoreError                 a document in a store cannot be read or written
    SchemaError              a document is of another version's form
  ToolError                  a tool (py-rattler, uv, conda) is missing or failed in an unforeseen way
"""

from __future__ import annotations

from .secret import redact


class ExtensionError(Exception):
    """Say what failed (message) and what to do about it (hint); credentials in URLs are masked in both."""

    headline = "Environment error"

    def __init__(self, message: str, hint: str) -> None:
        self.message = redact(message)
        self.hint = redact(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}"


class InputError(ExtensionError):
    """What the user wrote cannot be understood, or contradicts itself."""

    headline = "Environment cannot be understood"


class UnknownError(InputError):
    """A name means no environment that is known, or several."""

    headline = "Not found"


class AliasError(InputError):
    """An alias cannot be given, or cannot come to mean another environment."""

    headline = "Alias cannot be given"


class SettingError(ExtensionError):
    """A configuration variable holds a value that it cannot have."""

    headline = "Configuration error"


class ResolveError(ExtensionError):
    """No set of packages satisfies a spec; the message holds the solver's explanation."""

    headline = "Environment cannot be resolved"


class SourceError(ExtensionError):
    """A channel or an index is missing, unreachable, or answers with garbage."""

    headline = "Package source error"


class PackageError(ExtensionError):
    """A package cannot be fetched, or its bytes are not those that were resolved."""

    headline = "Package error"


class CreateError(ExtensionError):
    """A prefix cannot be made on this machine."""

    headline = "Environment cannot be created"


def unwritable(where: str, error: OSError) -> CreateError:
    """Return what an error of the file system amounts to; *where* begins the message."""
    return CreateError(
        f"{where}'{error.filename or 'a file'}' cannot be used: {error.strerror or error}",
        "check that its folder may be written to and has room; environments lie below METAFLOW_CONDA_ENVS_ROOT",
    )


class StoreError(ExtensionError):
    """A document in a store cannot be read or written."""

    headline = "Environment store error"


class SchemaError(StoreError):
    """A document is of a form that this version does not read; it is not damaged."""


class ToolError(ExtensionError):
    """A tool is missing, or failed in a way that is a bug of the tool or ours."""

    headline = "Environment tool error"
