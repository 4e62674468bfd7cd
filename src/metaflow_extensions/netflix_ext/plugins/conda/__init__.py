"""The classes that Metaflow calls: decorators, the environment, the flow-level commands."""
